#include "base/time.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace std::chrono_literals;

TEST_CASE("times are RFC 3339 in UTC and come back") {
  const auto time = WallTime{1772366400s};
  CHECK(rfc3339(time) == "2026-03-01T12:00:00Z");
  CHECK(parse_rfc3339("2026-03-01T12:00:00Z") == time);
}

TEST_CASE("what is no time is not read as one") {
  for (const auto* text : {"", "2026-03-01", "2026-02-31T12:00:00Z", "2026-03-01T12:00:00",
                           "2026-03-01T25:00:00Z", "2026-03-01T12:00:00Z "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text));
  }
}

TEST_CASE("durations for people") {
  CHECK(human(0s) == "0s");
  CHECK(human(-5s) == "0s");
  CHECK(human(59s) == "59s");
  CHECK(human(61s) == "1m");
  CHECK(human(2h + 5min) == "2h 5m");
  CHECK(human(50h) == "2d 2h");
}

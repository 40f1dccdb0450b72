#include "config/scalar.hpp"

#include <array>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::config;

TEST_CASE("durations: a whole number and one unit") {
  const auto read = [](std::string_view text) {
    return parse_duration(text, Seconds{0}, 1000 * day);
  };
  CHECK(read("30s").value() == Seconds{30});
  CHECK(read("5m").value() == Seconds{300});
  CHECK(read("2h").value() == Seconds{7200});
  CHECK(read("1d").value() == Seconds{86400});
  CHECK(read("0s").value() == Seconds{0});
  CHECK(read("007m").value() == Seconds{420});
  CHECK(read("30").error().message == "30 has no unit; write 30s, or m, h or d");
  for (const auto* text : {"", "s", "5 m", " 5m", "5m ", "-5s", "+5s", "1.5h", "5M", "1w", "1h30m",
                           "1e3s", "0x1s", "five", "5ms"}) {
    CAPTURE(text);
    CHECK_FALSE(read(text));
  }
}

TEST_CASE("durations: ranges hold and nothing overflows") {
  const auto read = [](std::string_view text) { return parse_duration(text, Seconds{1}, hour); };
  CHECK(read("1s"));
  CHECK(read("1h"));
  CHECK(read("3600s"));
  CHECK(read("0s").error().message == "0s is out of range; write 1s to 1h");
  CHECK_FALSE(read("61m"));
  CHECK_FALSE(read("106751991167300d"));  // seconds of it do not fit into 64 bits
  CHECK_FALSE(read("9223372036854775807d"));
  CHECK_FALSE(read("99999999999999999999999999s"));
}

TEST_CASE("durations are written with the largest unit that is exact") {
  CHECK(write_duration(Seconds{0}) == "0s");
  CHECK(write_duration(Seconds{90}) == "90s");
  CHECK(write_duration(Seconds{120}) == "2m");
  CHECK(write_duration(7 * day) == "7d");
}

TEST_CASE("percentages: 0 to 100 with or without the sign") {
  CHECK(parse_percent("5").value() == 5);
  CHECK(parse_percent("2.5%").value() == 2.5);
  CHECK(parse_percent("0").value() == 0);
  CHECK(parse_percent("100%").value() == 100);
  for (const auto* text :
       {"", "%", "-1", "101", "100.0001", "1e1", "nan", "inf", "5 %", "5%%", ".5", "0x5", "ten"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_percent(text));
  }
}

TEST_CASE("counts: digits within the range") {
  CHECK(parse_count("4294967296", 0, 4294967296).value() == 4294967296);
  CHECK(parse_count("70000", 1, 65535).error().message ==
        "70000 is out of range; write 1 to 65535");
  for (const auto* text :
       {"", "-1", "+1", "1.0", "1e3", "1_000", " 1", "4294967297", "99999999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_count(text, 0, 4294967296));
  }
}

TEST_CASE("booleans are those of YAML 1.2") {
  CHECK(parse_boolean("true").value());
  CHECK_FALSE(parse_boolean("False").value());
  CHECK_FALSE(parse_boolean("yes"));
  CHECK_FALSE(parse_boolean("1"));
}

TEST_CASE("names cannot leave their folder or become an option") {
  CHECK(parse_name("ad-password"));
  CHECK(parse_name("mx2.example_net"));
  CHECK(parse_name(std::string(64, 'x')));
  for (const std::string text :
       {"", ".", "..", "../x", "a/b", "-x", ".x", "a b", "ü", "a\n", "a:b"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_name(text));
  }
  CHECK_FALSE(parse_name(std::string(65, 'x')));
  CHECK_FALSE(parse_name(std::string("a\0b", 3)));
}

TEST_CASE("choices propose what was meant") {
  constexpr std::array<std::string_view, 2> words{"drop", "keep"};
  CHECK(parse_choice("keep", words).value() == 1);
  CHECK(parse_choice("Keep", words).error().message == "Keep is not known; did you mean keep?");
  CHECK(parse_choice("perhaps", words).error().message ==
        "perhaps is not known; write drop or keep");
}

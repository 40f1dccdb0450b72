// When the next poll is due: the calendar in UTC, and the jitter.
#include "sync/schedule.hpp"

#include "catch.hpp"
#include "zone.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using namespace std::chrono_literals;

namespace {

std::string next(const Fields& fields, const char* after) {
  return rfc3339(next_cron(cron(fields), utc(after)));
}

/// Always the same fraction.
class Fixed final : public Random {
 public:
  explicit Fixed(std::uint64_t value) : value_(value) {}
  std::uint64_t next() override { return value_; }

 private:
  std::uint64_t value_;
};

}  // namespace

TEST_CASE("cron: the next moment that is named, never the present one") {
  const Zone zone("UTC");
  CHECK(next({}, "2026-03-01T12:00:00Z") == "2026-03-01T12:01:00Z");
  CHECK(next({}, "2026-03-01T12:00:59Z") == "2026-03-01T12:01:00Z");
  CHECK(next({.minutes = {0}}, "2026-03-01T11:59:59Z") == "2026-03-01T12:00:00Z");
  CHECK(next({.minutes = {0}}, "2026-03-01T12:00:00Z") == "2026-03-01T13:00:00Z");
  CHECK(next({.minutes = {0, 10, 20, 30, 40, 50}}, "2026-03-01T12:05:00Z") ==
        "2026-03-01T12:10:00Z");
  CHECK(next({.minutes = {30}, .hours = {7, 19}}, "2026-03-01T08:00:00Z") ==
        "2026-03-01T19:30:00Z");
  CHECK(next({.minutes = {30}, .hours = {7, 19}}, "2026-03-01T20:00:00Z") ==
        "2026-03-02T07:30:00Z");
  CHECK(next_cron(cron({}), utc("2026-03-01T12:00:00Z") + 1ms) == utc("2026-03-01T12:01:00Z"));
  CHECK(next_cron(cron({}), utc("2026-03-01T12:00:00Z") - 1ms) == utc("2026-03-01T12:00:00Z"));
}

TEST_CASE("cron: the end of a day, a month and a year") {
  const Zone zone("UTC");
  CHECK(next({}, "2026-12-31T23:59:00Z") == "2027-01-01T00:00:00Z");
  CHECK(next({.minutes = {0}, .hours = {0}, .days = {1}, .months = {1}}, "2026-01-01T00:00:00Z") ==
        "2027-01-01T00:00:00Z");
  CHECK(next({.minutes = {0}, .hours = {0}, .days = {31}}, "2026-01-31T00:00:00Z") ==
        "2026-03-31T00:00:00Z");
}

TEST_CASE("cron: 29 February") {
  const Zone zone("UTC");
  const Fields leap{.minutes = {0}, .hours = {0}, .days = {29}, .months = {2}};
  CHECK(next(leap, "2026-01-01T00:00:00Z") == "2028-02-29T00:00:00Z");
  CHECK(next(leap, "2028-02-29T00:00:00Z") == "2032-02-29T00:00:00Z");
  CHECK(next(leap, "2096-02-29T00:00:00Z") == "2104-02-29T00:00:00Z");

  // `0 0 29 2 */7` is a Sunday only: forty years over a century without its leap day.
  auto on_sunday = cron(leap);
  on_sunday.weekdays.reset();
  on_sunday.weekdays.set(0);
  CHECK(rfc3339(next_cron(on_sunday, utc("2088-02-29T00:00:00Z"))) == "2128-02-29T00:00:00Z");
}

TEST_CASE("cron: both day fields restricted, either is enough") {
  const Zone zone("UTC");
  // 2026-03-01 is a Sunday.
  const Fields fields{.minutes = {0}, .hours = {6}, .days = {13}, .weekdays = {5}};
  CHECK(next(fields, "2026-03-01T00:00:00Z") == "2026-03-06T06:00:00Z");
  CHECK(next(fields, "2026-03-06T06:00:00Z") == "2026-03-13T06:00:00Z");
  CHECK(next({.minutes = {0}, .hours = {6}, .weekdays = {1, 2, 3, 4, 5}}, "2026-03-06T06:00:00Z") ==
        "2026-03-09T06:00:00Z");
  CHECK(next({.minutes = {0}, .hours = {6}, .weekdays = {0}}, "2026-03-02T00:00:00Z") ==
        "2026-03-08T06:00:00Z");
}

TEST_CASE("cron: what no date matches never comes, and is known to within a moment") {
  const Zone zone("UTC");
  CHECK(next_cron(cron({.days = {31}, .months = {2}}), utc("2026-01-01T00:00:00Z")) ==
        WallTime::max());
  CHECK(next_cron(config::Cron{}, utc("2026-01-01T00:00:00Z")) == WallTime::max());
  config::Schedule schedule;
  schedule.poll = config::Cron{};
  Fixed most(UINT64_MAX);
  CHECK(next_poll(schedule, utc("2026-01-01T00:00:00Z"), most) == WallTime::max());
}

TEST_CASE("an interval is shortened and lengthened by up to the jitter") {
  const auto now = utc("2026-03-01T12:00:00Z");
  config::Schedule schedule;
  schedule.poll = config::Seconds{300};
  schedule.jitter = 0.1;
  Fixed least(0);
  Fixed half(1ULL << 63);
  Fixed most(UINT64_MAX);
  CHECK(next_poll(schedule, now, least) == now + 270s);
  CHECK(next_poll(schedule, now, half) == now + 300s);
  CHECK(next_poll(schedule, now, most) > now + 329s);
  CHECK(next_poll(schedule, now, most) <= now + 330s);
  schedule.jitter = 0;
  CHECK(next_poll(schedule, now, most) == now + 300s);
  schedule.poll = config::Seconds{1};
  schedule.jitter = 1;
  CHECK(next_poll(schedule, now, least) == now + 1s);
}

TEST_CASE("a cron time is only ever delayed") {
  const Zone zone("UTC");
  config::Schedule schedule;
  schedule.poll = cron({.minutes = {0}});
  schedule.jitter = 0.5;
  Fixed least(0);
  Fixed most(UINT64_MAX);
  CHECK(next_poll(schedule, utc("2026-03-01T11:59:00Z"), least) == utc("2026-03-01T12:00:00Z"));
  CHECK(next_poll(schedule, utc("2026-03-01T11:59:00Z"), most) > utc("2026-03-01T12:00:29Z"));
  CHECK(next_poll(schedule, utc("2026-03-01T11:59:00Z"), most) <= utc("2026-03-01T12:00:30Z"));
  CHECK(next_poll(schedule, utc("2026-03-01T12:00:00Z") - 1ms, least) ==
        utc("2026-03-01T12:00:01Z") - 1ms);
}

TEST_CASE("the next poll is within its bounds for every setting") {
  const Zone zone("Europe/Berlin");
  SeededRandom random(3);
  const auto hourly = cron({.minutes = {0}});
  for (int i = 0; i < 2000; ++i) {
    const auto now = utc("2026-01-01T00:00:00Z") + std::chrono::seconds(random.next() % 31536000) +
                     std::chrono::milliseconds(random.next() % 1000);
    config::Schedule schedule;
    schedule.jitter = random.fraction();
    const auto interval = std::chrono::seconds(1 + random.next() % (7 * 86400));
    schedule.poll = interval;
    const auto next = next_poll(schedule, now, random);
    const std::chrono::duration<double> span = next - now;
    const std::chrono::duration<double> whole = interval;
    REQUIRE(next >= now + 1s);
    REQUIRE(span >= whole * (1 - schedule.jitter) - 1ms);
    REQUIRE(span <= std::max<std::chrono::duration<double>>(1s, whole * (1 + schedule.jitter)));

    schedule.poll = hourly;
    const auto by_cron = next_poll(schedule, now, random);
    REQUIRE(by_cron >= now + 1s);
    REQUIRE(by_cron <= std::max(now + 1s, next_cron(hourly, now) + 60s));
  }
}

// Cron where clocks are turned: a time that is skipped runs once right after the gap, a doubled one
// once, the first time. The named zones come from tzdata.
#include <algorithm>

#include "base/random.hpp"
#include "catch.hpp"
#include "sync/schedule.hpp"
#include "zone.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> runs(const config::Cron& expression, const char* after,
                              const char* until) {
  std::vector<std::string> times;
  for (auto time = next_cron(expression, utc(after)); time < utc(until);
       time = next_cron(expression, time))
    times.push_back(rfc3339(time));
  return times;
}

using Times = std::vector<std::string>;

/// What the clock on the wall shows, in minutes since 1970.
std::int64_t shown(std::int64_t minute) {
  const std::time_t time = minute * 60;
  std::tm parts{};
  ::localtime_r(&time, &parts);
  return ::timegm(&parts) / 60;
}

bool named(const config::Cron& expression, std::int64_t local_minute) {
  const std::time_t time = local_minute * 60;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  const auto at = [](const auto& set, int value) { return set[static_cast<std::size_t>(value)]; };
  if (!at(expression.minutes, parts.tm_min) || !at(expression.hours, parts.tm_hour) ||
      !at(expression.months, parts.tm_mon + 1))
    return false;
  const bool day = at(expression.days, parts.tm_mday);
  const bool weekday = at(expression.weekdays, parts.tm_wday);
  return expression.days_restricted && expression.weekdays_restricted ? day || weekday
                                                                      : day && weekday;
}

/// Watches the clock minute by minute, as cron(8) would: whenever it shows a time later than ever
/// before, everything between runs, once.
std::vector<WallTime> watched(const config::Cron& expression, std::int64_t from,
                              std::int64_t until) {
  std::vector<WallTime> times;
  auto latest = shown(from - 3 * 1440);
  for (auto minute = from - 3 * 1440 + 1; minute < until; ++minute) {
    const auto now = shown(minute);
    bool due = false;
    for (; latest < now; ++latest) due |= named(expression, latest + 1);
    if (due && minute > from) times.emplace_back(std::chrono::minutes(minute));
  }
  return times;
}

}  // namespace

TEST_CASE("Berlin, spring: 02:00 to 03:00 is skipped on 2026-03-29") {
  const Zone zone("Europe/Berlin");
  const auto daily = [](std::size_t hour, std::vector<std::size_t> minutes) {
    return runs(cron({.minutes = std::move(minutes), .hours = {hour}}), "2026-03-28T12:00:00Z",
                "2026-03-30T12:00:00Z");
  };
  CHECK(daily(2, {30}) == Times{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"});
  CHECK(daily(2, {0}) == Times{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"});
  CHECK(daily(2, {0, 20, 40}) == Times{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z",
                                       "2026-03-30T00:20:00Z", "2026-03-30T00:40:00Z"});
  CHECK(daily(1, {59}) == Times{"2026-03-29T00:59:00Z", "2026-03-29T23:59:00Z"});
  CHECK(daily(3, {0}) == Times{"2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"});
  // Skipped times and the hour after the gap are one run.
  CHECK(runs(cron({.minutes = {0, 30}}), "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z") ==
        Times{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"});
}

TEST_CASE("Berlin, autumn: 02:00 to 03:00 comes twice on 2026-10-25") {
  const Zone zone("Europe/Berlin");
  CHECK(runs(cron({.minutes = {30}, .hours = {2}}), "2026-10-24T12:00:00Z",
             "2026-10-26T12:00:00Z") == Times{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"});
  CHECK(runs(cron({.minutes = {0}, .hours = {3}}), "2026-10-24T12:00:00Z",
             "2026-10-26T00:00:00Z") == Times{"2026-10-25T02:00:00Z"});
  // Asked in the middle of the second time round.
  CHECK(rfc3339(next_cron(cron({.minutes = {45}, .hours = {2}}), utc("2026-10-25T01:10:00Z"))) ==
        "2026-10-26T01:45:00Z");
}

TEST_CASE("New York: 2026-03-08 and 2026-11-01") {
  const Zone zone("America/New_York");
  CHECK(runs(cron({.minutes = {30}, .hours = {2}}), "2026-03-07T12:00:00Z",
             "2026-03-09T12:00:00Z") == Times{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"});
  CHECK(runs(cron({.minutes = {30}, .hours = {1}}), "2026-10-31T12:00:00Z",
             "2026-11-02T12:00:00Z") == Times{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"});
}

TEST_CASE("Lord Howe: half an hour, 2026-10-04 and 2026-04-05") {
  const Zone zone("Australia/Lord_Howe");
  // 02:00 +10:30 becomes 02:30 +11.
  CHECK(runs(cron({.minutes = {15}, .hours = {2}}), "2026-10-03T00:00:00Z",
             "2026-10-05T00:00:00Z") == Times{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"});
  // 02:00 +11 becomes 01:30 +10:30.
  CHECK(runs(cron({.minutes = {45}, .hours = {1}}), "2026-04-04T00:00:00Z",
             "2026-04-06T00:00:00Z") == Times{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"});
}

TEST_CASE("a gap at midnight, and a day that never was") {
  {
    // Cuba, 2026-03-08: 00:00 becomes 01:00.
    const Zone zone("America/Havana");
    CHECK(runs(cron({.minutes = {30}, .hours = {0}}), "2026-03-07T12:00:00Z",
               "2026-03-09T12:00:00Z") == Times{"2026-03-08T05:00:00Z", "2026-03-09T04:30:00Z"});
  }
  // Samoa had no 30 December 2011.
  const Zone zone("Pacific/Apia");
  CHECK(runs(cron({.minutes = {0}, .hours = {8}, .days = {30}}), "2011-12-01T00:00:00Z",
             "2012-02-15T00:00:00Z") == Times{"2011-12-30T10:00:00Z", "2012-01-29T18:00:00Z"});
}

TEST_CASE("random expressions run when somebody who watches the clock would run them") {
  struct Turn {
    const char* zone;
    const char* around;
  };
  const auto turn = GENERATE(
      Turn{"Europe/Berlin", "2026-03-29T01:00:00Z"}, Turn{"Europe/Berlin", "2026-10-25T01:00:00Z"},
      Turn{"America/New_York", "2026-03-08T07:00:00Z"},
      Turn{"America/New_York", "2026-11-01T06:00:00Z"},
      Turn{"Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
      Turn{"Australia/Lord_Howe", "2026-04-04T15:00:00Z"},
      Turn{"America/Havana", "2026-03-08T05:00:00Z"},
      Turn{"America/Havana", "2026-11-01T05:00:00Z"}, Turn{"Pacific/Apia", "2011-12-30T10:00:00Z"},
      Turn{"Asia/Kathmandu", "2026-06-01T00:00:00Z"},
      Turn{"Europe/London", "2026-12-31T23:00:00Z"});
  const Zone zone(turn.zone);
  SeededRandom random(11);
  const auto from =
      std::chrono::duration_cast<std::chrono::minutes>(utc(turn.around).time_since_epoch())
          .count() -
      2 * 1440;
  const auto until = from + 4 * 1440;
  std::size_t compared = 0;
  for (int round = 0; round < 30; ++round) {
    const auto some = [&](std::size_t first, std::size_t count, std::size_t chance) {
      std::vector<std::size_t> values;
      for (std::size_t value = first; value < first + count; ++value)
        if (random.next() % 100 < chance) values.push_back(value);
      return values;
    };
    const auto expression = cron({.minutes = some(0, 60, random.next() % 20),
                                  .hours = some(0, 24, random.next() % 60),
                                  .days = some(1, 31, random.next() % 2 * 40),
                                  .weekdays = some(0, 7, random.next() % 2 * 40)});
    const auto expected = watched(expression, from, until);
    std::vector<WallTime> found;
    const WallTime end{std::chrono::minutes(until)};
    for (auto time = next_cron(expression, WallTime{std::chrono::minutes(from)}); time < end;
         time = next_cron(expression, time))
      found.push_back(time);
    CAPTURE(turn.zone, turn.around, round, expected.size(), found.size());
    REQUIRE(found == expected);
    compared += found.size();
    // From any other moment too, the fraction of a second included.
    for (int probe = 0; probe < 50 && !expected.empty(); ++probe) {
      const auto after = WallTime{std::chrono::minutes(from)} +
                         std::chrono::milliseconds(random.next() % (3 * 86400 * 1000));
      const auto next = std::upper_bound(expected.begin(), expected.end(), after);
      if (next != expected.end()) REQUIRE(next_cron(expression, after) == *next);
    }
  }
  CHECK(compared > 100);
}

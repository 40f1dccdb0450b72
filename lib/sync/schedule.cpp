#include "sync/schedule.hpp"

#include <algorithm>
#include <ctime>
#include <optional>

namespace rcptsync::sync {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using UtcSeconds = std::chrono::sys_seconds;
/// What a clock on the wall shows, counted as if no daylight saving and no time zone existed.
using LocalSeconds = std::chrono::local_seconds;

/// Seconds east of UTC at that moment.
seconds offset_at(UtcSeconds time) {
  const std::time_t value = time.time_since_epoch().count();
  std::tm parts{};
  // It fails only for years that do not fit an int.
  if (::localtime_r(&value, &parts) == nullptr) return seconds{0};
  return seconds{parts.tm_gmtoff};
}

/// The first moment at which the wall clock shows `local` or later: the first of two where the
/// clock is turned back, the end of the gap where it is turned forward. Earlier local times never
/// give later moments. Counts on at most one turn of the clock within two days.
UtcSeconds first_moment(LocalSeconds local) {
  const UtcSeconds nominal{local.time_since_epoch()};
  // No zone is a whole day away from UTC, so the turn that matters lies between these two.
  const auto before = offset_at(nominal - days{1});
  const auto after = offset_at(nominal + days{1});
  const auto by_old_clock = nominal - before;
  if (before == after || offset_at(by_old_clock) == before) return by_old_clock;
  const auto by_new_clock = nominal - after;
  if (offset_at(by_new_clock) == after) return by_new_clock;
  // Skipped: the turn lies after by_new_clock and not after by_old_clock.
  auto low = by_new_clock;
  auto high = by_old_clock;
  while (high - low > seconds{1}) {
    const auto middle = low + (high - low) / 2;
    (offset_at(middle) == before ? low : high) = middle;
  }
  return high;
}

bool matches(const config::Cron& cron, sys_days day) {
  const std::chrono::year_month_day date{day};
  if (!cron.months[static_cast<unsigned>(date.month())]) return false;
  const bool in_days = cron.days[static_cast<unsigned>(date.day())];
  const bool in_weekdays = cron.weekdays[std::chrono::weekday{day}.c_encoding()];
  return cron.days_restricted && cron.weekdays_restricted ? in_days || in_weekdays
                                                          : in_days && in_weekdays;
}

/// The first moment after `after` on that day of the calendar.
std::optional<UtcSeconds> next_on(const config::Cron& cron, sys_days day, UtcSeconds after) {
  const LocalSeconds midnight{day.time_since_epoch()};
  const LocalSeconds shown{(after + offset_at(after)).time_since_epoch()};
  for (int hour = 0; hour < 24; ++hour) {
    if (!cron.hours[static_cast<std::size_t>(hour)]) continue;
    for (int minute = 0; minute < 60; ++minute) {
      if (!cron.minutes[static_cast<std::size_t>(minute)]) continue;
      const auto local = midnight + hours{hour} + minutes{minute};
      if (local <= shown) continue;  // The clock has shown it already.
      if (const auto moment = first_moment(local); moment > after) return moment;
    }
  }
  return std::nullopt;
}

}  // namespace

WallTime next_cron(const config::Cron& cron, WallTime after) {
  // The rarest date, a 29 February on one weekday, returns after 40 years where a century has no
  // leap day.
  constexpr auto horizon = days{41 * 366};
  // Moments are whole seconds: later than a part of a second means later than its beginning.
  const auto start = std::chrono::floor<seconds>(after);
  const auto today = std::chrono::floor<days>(start + offset_at(start));
  for (auto day = today; day < today + horizon; day += days{1})
    if (matches(cron, day))
      if (const auto moment = next_on(cron, day, start)) return *moment;
  return WallTime::max();
}

WallTime next_poll(const config::Schedule& schedule, WallTime now, Random& random) {
  using Span = std::chrono::duration<double>;
  const auto whole = [](Span span) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(span);
  };
  const auto soonest = now + seconds{1};
  if (const auto* cron = std::get_if<config::Cron>(&schedule.poll)) {
    const auto moment = next_cron(*cron, now);
    if (moment == WallTime::max()) return moment;
    return std::max(soonest,
                    moment + whole(Span{minutes{1}} * schedule.jitter * random.fraction()));
  }
  const Span interval = std::get<config::Seconds>(schedule.poll);
  const double factor = 1 + schedule.jitter * (2 * random.fraction() - 1);
  return std::max(soonest, now + whole(interval * factor));
}

}  // namespace rcptsync::sync

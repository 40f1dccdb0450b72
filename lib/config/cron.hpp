// cron — a crontab(5) time expression of five fields, parsed into sets. sync/schedule.hpp computes
// the next time.
#pragma once

#include <bitset>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rcptsync::config {

struct Cron {
  std::string text;  ///< as written
  std::bitset<60> minutes;
  std::bitset<24> hours;
  std::bitset<32> days;     ///< 1 to 31
  std::bitset<13> months;   ///< 1 to 12
  std::bitset<7> weekdays;  ///< 0 is Sunday; 7 in the text is Sunday too
  /// crontab(5): when both day fields are restricted, either of them matching is enough. A field
  /// that begins with `*` is not restricted.
  bool days_restricted = false;
  bool weekdays_restricted = false;
};

/// `minute hour day month weekday` with numbers, names (jan, mon; any case), lists, ranges, steps
/// and `*`. An expression that no date can match (31 2) is refused. Error: Errc::invalid, naming
/// the field.
Result<Cron> parse_cron(std::string_view text);

}  // namespace rcptsync::config

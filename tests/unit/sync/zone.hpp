// zone — the local time zone of a test, and a short way to write times and expressions.
#pragma once

#include <cstdlib>
#include <ctime>
#include <string>

#include "base/time.hpp"
#include "config/config.hpp"

/// TZ while it lives.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* old = std::getenv("TZ")) old_ = old;
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() {
    old_.empty() ? ::unsetenv("TZ") : ::setenv("TZ", old_.c_str(), 1);
    ::tzset();
  }

 private:
  std::string old_;
};

/// An RFC 3339 time in UTC.
inline rcptsync::WallTime utc(const char* text) {
  return rcptsync::parse_rfc3339(text).value();
}

/// Every field empty is `*`; both day fields restricted when given.
struct Fields {
  std::vector<std::size_t> minutes = {}, hours = {}, days = {}, months = {}, weekdays = {};
};

/// Built by hand, so that these tests do not hang on the parser.
inline rcptsync::config::Cron cron(const Fields& fields) {
  const auto fill = [](auto& set, const std::vector<std::size_t>& values) {
    if (values.empty()) set.set();
    for (const auto value : values) set.set(value);
  };
  rcptsync::config::Cron result;
  fill(result.minutes, fields.minutes);
  fill(result.hours, fields.hours);
  fill(result.days, fields.days);
  fill(result.months, fields.months);
  fill(result.weekdays, fields.weekdays);
  result.days_restricted = !fields.days.empty();
  result.weekdays_restricted = !fields.weekdays.empty();
  return result;
}

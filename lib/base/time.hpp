// time — the two clocks as one small interface, so that schedules and retries can be tested without
// waiting.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace rcptsync {

using WallTime = std::chrono::system_clock::time_point;    ///< what a person reads; may jump
using SteadyTime = std::chrono::steady_clock::time_point;  ///< what deadlines are measured with

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const = 0;
  [[nodiscard]] virtual SteadyTime steady() const = 0;
};

/// The machine's clocks.
const Clock& system_clock();

/// RFC 3339 in UTC with whole seconds: 2026-03-01T12:00:00Z.
std::string rfc3339(WallTime time);
std::optional<WallTime> parse_rfc3339(std::string_view text);

/// For people: `45s`, `12m`, `3h 5m`, `2d 4h`; negative durations count as zero.
std::string human(std::chrono::seconds duration);

}  // namespace rcptsync

// The section `schedule`.
#include <string>

#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr Seconds longest_poll = 7 * day;

// Blanks tell a cron expression from a duration.
std::optional<std::variant<Seconds, Cron>> poll(const Value& value) {
  using Poll = std::variant<Seconds, Cron>;
  return parsed(value, [](std::string_view text) -> Result<Poll> {
    if (text.find_first_of(" \t@") != std::string_view::npos) {
      auto cron = parse_cron(text);
      if (!cron) return cron.error();
      return Poll(*std::move(cron));
    }
    const auto duration = parse_duration(text, Seconds{1}, longest_poll);
    if (!duration) return duration.error();
    return Poll(*duration);
  });
}

}  // namespace

void read_schedule(const Value& value, Schedule& schedule) {
  Map map(value);
  map.read("poll", schedule.poll, poll);
  map.read("jitter", schedule.jitter, share);
  map.read("full", schedule.full, duration(Seconds{1}, 366 * day));
  map.finish();
}

}  // namespace rcptsync::config

// The sections that concern the daemon as a whole: `rollout`, `history` and `notify`.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "config/command_line.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {

void read_rollout(const Value& value, const std::vector<Target>& targets, Rollout& rollout) {
  Map map(value);
  map.read_list("canary", rollout.canary, targets.size() + 1, [&](const Value& item) {
    auto canary = name(item);
    if (canary && std::none_of(targets.begin(), targets.end(),
                               [&](const Target& target) { return target.name == *canary; })) {
      item.error(fmt::format("{} is no target's name", *canary));
      return std::optional<std::string>();
    }
    return canary;
  });
  map.read("wait", rollout.wait, duration(Seconds{0}, 366 * day));
  map.read("parallel", rollout.parallel, count<std::uint32_t>(1));
  map.finish();
}

void read_history(const Value& value, History& history) {
  Map map(value);
  map.read("keep", history.keep, count<std::uint32_t>());
  map.read("age", history.age, duration(Seconds{1}, 36'500 * day));
  map.finish();
}

void read_notify(const Value& value, Notify& notify) {
  Map map(value);
  notify.line = value.line();
  map.read("command", notify.command,
           [](const Value& command) -> std::optional<std::vector<std::string>> {
             const auto text = command.command();
             if (!text) return {};
             auto words = split_command(*text);
             if (words) return *std::move(words);
             command.error(words.error().message);
             return {};
           });
  map.read("failing_polls", notify.failing_polls, count<std::uint32_t>());
  map.read("behind", notify.behind, duration(Seconds{0}, 366 * day));
  map.finish();
}

}  // namespace rcptsync::config

#include "service/metrics.hpp"

#include <fmt/format.h>

#include <array>

namespace rcptsync::service {
namespace {

using sync::TargetState;

constexpr std::array states{TargetState::current, TargetState::behind, TargetState::pushing,
                            TargetState::failing, TargetState::held,   TargetState::disabled};

/// A label's value: only these three are special.
std::string label_value(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '"';
}

std::string seconds(WallTime time) {
  return fmt::format(
      "{}", std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

class Text {
 public:
  /// A family: its head, and the samples that value() adds until the next one.
  void family(std::string_view name, std::string_view help, std::string_view type = "gauge") {
    name_ = name;
    text_ += fmt::format("# HELP rcptsync_{} {}\n# TYPE rcptsync_{} {}\n", name, help, name, type);
  }
  void value(std::string_view labels, std::string_view value) {
    text_ += fmt::format("rcptsync_{}{} {}\n", name_,
                         labels.empty() ? "" : fmt::format("{{{}}}", labels), value);
  }
  void value(std::string_view labels, std::uint64_t number) {
    value(labels, std::string_view(std::to_string(number)));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_, text_;
};

}  // namespace

std::string metrics_text(const StatusReport& report, const AlertMemory& memory, WallTime started) {
  Text text;
  text.family("build_info", "The version that runs.");
  text.value("version=" + label_value(RCPTSYNC_VERSION), 1);
  text.family("start_time_seconds", "When this daemon started.");
  text.value("", seconds(started));
  text.family("written_time_seconds", "When this file was written.");
  text.value("", seconds(report.now));
  if (report.next_poll) {
    text.family("next_poll_time_seconds", "When the next poll is due.");
    text.value("", seconds(*report.next_poll));
  }
  text.family("generation", "Number of the generation in force, 0 before the first.");
  text.value("", report.generation);
  if (report.last) {
    text.family("generation_time_seconds", "When it was committed.");
    text.value("", seconds(report.last->time));
  }
  text.family("pinned_generation", "The generation that a rollback pinned, 0: none.");
  text.value("", report.pinned);
  text.family("recipients", "Addresses that the table in force accepts.");
  text.value("", report.recipients);
  text.family("held", "1 while removals or the first table are held.");
  text.value("", report.held ? 1 : 0);
  text.family("held_removals", "Removals that are held.");
  text.value("", report.held ? report.held->removed : 0);

  const auto source = [](const auto& row) { return "source=" + label_value(row.name); };
  text.family("source_up", "1 if the last read of the source was complete.");
  for (const auto& row : report.sources)
    text.value(source(row), row.runtime.complete && row.runtime.last_error.empty() ? 1 : 0);
  text.family("source_objects", "Objects of the source.");
  for (const auto& row : report.sources) text.value(source(row), row.objects);
  text.family("source_recipients", "Addresses that the source supplies.");
  for (const auto& row : report.sources) text.value(source(row), row.recipients);
  text.family("source_failed_polls", "Polls in a row in which it could not be read.");
  for (const auto& row : report.sources) {
    const auto failing = memory.failing.find(row.name);
    text.value(source(row), failing == memory.failing.end() ? 0 : failing->second.polls);
  }
  text.family("source_last_success_time_seconds", "When it was read completely, 0: never.");
  for (const auto& row : report.sources)
    text.value(source(row), seconds(row.runtime.last_success.value_or(WallTime{})));

  const auto target = [](const auto& row) { return "target=" + label_value(row.name); };
  text.family("target_state", "1 for the state that the target is in, else 0.");
  for (const auto& row : report.targets)
    for (const auto state : states)
      text.value(target(row) + ",state=" + label_value(sync::to_string(state)),
                 row.state == state ? 1 : 0);
  text.family("target_generation", "The generation that the target holds, 0: not known.");
  for (const auto& row : report.targets) text.value(target(row), row.record.generation);
  text.family("target_failed_pushes", "Pushes in a row that failed.");
  for (const auto& row : report.targets) text.value(target(row), row.record.attempts);
  text.family("target_last_success_time_seconds", "When a push or a look ended well, 0: never.");
  for (const auto& row : report.targets)
    text.value(target(row), seconds(row.record.last_success.value_or(WallTime{})));
  return text.take();
}

}  // namespace rcptsync::service

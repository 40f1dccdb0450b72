#include "service/status_report.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <sys/file.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "base/plural.hpp"
#include "service/doorbells.hpp"
#include "service/location.hpp"
#include "service/target_tables.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

// The daemon holds an exclusive lock on this file as long as it lives; a shared one that we cannot
// get means it runs.
bool daemon_runs(const std::filesystem::path& state_dir) {
  const Fd fd{::open((state_dir / "daemon.lock").c_str(), O_RDONLY | O_CLOEXEC)};
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

sync::TargetState state_of(const config::Target& target, const store::TargetRecord& record,
                           std::uint64_t generation, bool pushing) {
  using sync::TargetState;
  if (!target.enabled) return TargetState::disabled;
  if (pushing) return TargetState::pushing;
  // A hold that was told once says nothing about a target that does not answer now.
  if (record.attempts > 0) return TargetState::failing;
  if (record.hold) return TargetState::held;
  return generation > 0 && record.generation == generation ? TargetState::current
                                                           : TargetState::behind;
}

json time_or_null(const std::optional<WallTime>& time) {
  return time ? json(rfc3339(*time)) : json(nullptr);
}
json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}
json digest_or_null(const Digest& digest) {
  return digest == Digest{} ? json(nullptr) : json(digest.hex());
}

std::string ago(const std::optional<WallTime>& time, WallTime now) {
  if (!time) return "never";
  return human(std::chrono::duration_cast<std::chrono::seconds>(now - *time)) + " ago";
}

std::string in(const std::optional<WallTime>& time, WallTime now) {
  if (!time) return "not scheduled";
  return *time <= now
             ? "now"
             : "in " + human(std::chrono::duration_cast<std::chrono::seconds>(*time - now));
}

// One line for each of the reasons that a hold joins with "; ".
std::string reason_lines(std::string_view reasons) {
  std::string lines;
  while (!reasons.empty()) {
    const auto end = reasons.find("; ");
    lines += "  " + std::string(reasons.substr(0, end)) + "\n";
    reasons.remove_prefix(end == std::string_view::npos ? reasons.size() : end + 2);
  }
  return lines;
}

// The parts after one another, indented, in lines of at most 80 columns if no part is longer.
std::string in_lines(const std::vector<std::string>& parts) {
  std::string lines, line;
  for (const auto& part : parts) {
    if (!line.empty() && line.size() + 2 + part.size() > 80 - 3) {
      lines += line + ",\n";
      line.clear();
    }
    line += (line.empty() ? "  " : ", ") + part;
  }
  return line.empty() ? lines : lines + line + "\n";
}

// How a source was read, and what its removals wait for.
std::string details(const StatusReport::Source& source, WallTime now) {
  const auto& runtime = source.runtime;
  std::vector<std::string> parts;
  if (!runtime.mode.empty()) parts.push_back(runtime.mode + " read");
  if (!runtime.server.empty()) parts.push_back("from " + escape(runtime.server));
  if (runtime.last_full) parts.push_back("full read " + ago(runtime.last_full, now));
  switch (watch_state_of(runtime.watch)) {
    case WatchState::connected:
      parts.emplace_back("tells of changes");
      break;
    case WatchState::connecting:
    case WatchState::lost:
      parts.emplace_back("does not tell of changes now");
      break;
    case WatchState::unable:
      parts.emplace_back("cannot tell of changes");
      break;
    case WatchState::none:
      break;
  }
  auto text = in_lines(parts);
  if (!runtime.behind.empty())
    text += fmt::format("  behind, removals wait: {}\n", escape(runtime.behind));
  else if (source.waiting)
    text += "  removals wait for a full read that confirms them\n";
  return text;
}

}  // namespace

bool StatusReport::failing() const {
  return std::any_of(sources.begin(), sources.end(),
                     [](const Source& source) { return !source.runtime.last_error.empty(); }) ||
         std::any_of(targets.begin(), targets.end(), [](const Target& target) {
           return target.state == sync::TargetState::failing;
         });
}

bool StatusReport::holding() const {
  return held.has_value() || std::any_of(targets.begin(), targets.end(), [](const Target& target) {
           return target.state == sync::TargetState::held;
         });
}

Result<StatusReport> gather_status(const config::Config& config, store::Store* store,
                                   WallTime now) {
  const bool running = daemon_runs(config.state_dir);
  return gather_status(config, store, load_runtime(config.state_dir), running, now);
}

Result<StatusReport> gather_status(const config::Config& config, store::Store* store,
                                   const RuntimeStatus& runtime, bool running, WallTime now) {
  StatusReport report;
  report.now = now;
  report.running = running;
  if (report.running) report.next_poll = runtime.next_poll;

  std::vector<store::SourceRecord> sources;
  std::vector<store::TargetRecord> targets;
  if (store != nullptr) {
    const auto read = store->read([&](store::View& view) -> Result<> {
      const auto meta = view.meta();
      if (!meta) return meta.error();
      report.generation = meta->generation;
      report.recipients = meta->accepted;
      report.pinned = meta->pinned;
      auto last = view.generation(meta->generation);
      if (!last) return last.error();
      report.last = std::move(*last);
      if (report.last) {
        const auto digest = digest_of(view, *report.last);
        if (!digest) return digest.error();
        report.last->digest = *digest;
      }
      auto held = view.hold();
      if (!held) return held.error();
      report.held = std::move(*held);
      auto stored_sources = view.sources();
      if (!stored_sources) return stored_sources.error();
      sources = std::move(*stored_sources);
      auto stored_targets = view.targets();
      if (!stored_targets) return stored_targets.error();
      targets = std::move(*stored_targets);
      return {};
    });
    if (!read) return read.error();
  }
  for (const auto& source : config.sources) {
    StatusReport::Source row;
    row.name = source.name;
    row.type = config::to_string(source.type);
    if (const auto known = runtime.sources.find(source.name); known != runtime.sources.end())
      row.runtime = known->second;
    for (const auto& record : sources)
      if (record.name == source.name)
        row.objects = record.objects, row.recipients = record.recipients,
        row.waiting = record.unconfirmed;
    if (!report.running) row.runtime.watch.clear();
    report.sources.push_back(std::move(row));
  }
  for (const auto& target : config.targets) {
    StatusReport::Target row{target.name, target.host, {}, {}};
    for (auto& record : targets)
      if (record.name == target.name && record.location == location_of(target))
        row.record = std::move(record);
    const bool pushing = report.running && runtime.pushing.contains(target.name);
    row.state = state_of(target, row.record, report.generation, pushing);
    report.targets.push_back(std::move(row));
  }
  return report;
}

void print_status_json(std::ostream& out, const StatusReport& report) {
  json document = {{"version", RCPTSYNC_VERSION},
                   {"running", report.running},
                   {"generation", report.generation},
                   {"recipients", report.recipients},
                   {"digest", report.last ? json(report.last->digest.hex()) : json(nullptr)},
                   {"next_poll", time_or_null(report.next_poll)},
                   {"pinned", report.pinned == 0 ? json(nullptr) : json(report.pinned)},
                   {"held", nullptr},
                   {"sources", json::array()},
                   {"targets", json::array()}};
  if (report.held)
    document["held"] = {{"digest", report.held->digest.hex()},
                        {"added", report.held->added},
                        {"removed", report.held->removed},
                        {"reason", report.held->reason},
                        {"since", rfc3339(report.held->since)}};
  for (const auto& source : report.sources)
    document["sources"].push_back({{"name", source.name},
                                   {"type", source.type},
                                   {"mode", text_or_null(source.runtime.mode)},
                                   {"objects", source.objects},
                                   {"recipients", source.recipients},
                                   {"last_success", time_or_null(source.runtime.last_success)},
                                   {"last_error", text_or_null(source.runtime.last_error)},
                                   {"complete", source.runtime.complete},
                                   {"last_full", time_or_null(source.runtime.last_full)},
                                   {"server", text_or_null(source.runtime.server)},
                                   {"behind", text_or_null(source.runtime.behind)},
                                   {"waiting", source.waiting},
                                   {"watch", text_or_null(source.runtime.watch)}});
  for (const auto& target : report.targets)
    document["targets"].push_back({{"name", target.name},
                                   {"state", sync::to_string(target.state)},
                                   {"generation", target.record.generation},
                                   {"digest", digest_or_null(target.record.digest)},
                                   {"last_success", time_or_null(target.record.last_success)},
                                   {"last_error", text_or_null(target.record.last_error)},
                                   {"attempts", target.record.attempts},
                                   {"next_attempt", time_or_null(target.record.next_attempt)}});
  out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

void print_status_text(std::ostream& out, const StatusReport& report) {
  fmt::print(out, "rcptsync {}, daemon {}", RCPTSYNC_VERSION,
             report.running ? "running" : "not running");
  if (report.running) fmt::print(out, ", next poll {}", in(report.next_poll, report.now));
  if (report.last)
    fmt::print(out, "\ngeneration {} of {}: {}, digest {}\n", report.generation,
               rfc3339(report.last->time), counted(report.recipients, "recipient"),
               report.last->digest.brief());
  else
    fmt::print(out, "\nno table yet\n");
  if (report.held && report.generation == 0)
    fmt::print(out, "HELD since {}: the first table ({})\n{}", rfc3339(report.held->since),
               counted(report.held->added, "recipient"), reason_lines(report.held->reason));
  else if (report.held)
    fmt::print(out, "HELD since {}: {}, digest {}\n{}", rfc3339(report.held->since),
               counted(report.held->removed, "removal"), report.held->digest.brief(),
               reason_lines(report.held->reason));

  fmt::print(out, "\n{:<16} {:<17} {:>9} {:>11}  {}\n", "SOURCE", "TYPE", "OBJECTS", "RECIPIENTS",
             "LAST READ");
  for (const auto& source : report.sources) {
    fmt::print(out, "{:<16} {:<17} {:>9} {:>11}  {}\n", source.name, source.type, source.objects,
               source.recipients, ago(source.runtime.last_success, report.now));
    out << details(source, report.now);
    if (!source.runtime.last_error.empty())
      fmt::print(out, "  failing: {}\n", source.runtime.last_error);
  }
  fmt::print(out, "\n{:<16} {:<9} {:>10}  {:<18} {}\n", "TARGET", "STATE", "GENERATION",
             "LAST SUCCESS", "NEXT ATTEMPT");
  for (const auto& target : report.targets) {
    const auto& record = target.record;
    fmt::print(out, "{:<16} {:<9} {:>10}  {:<18} {}\n", target.name, sync::to_string(target.state),
               record.generation, ago(record.last_success, report.now),
               record.next_attempt && report.running ? in(record.next_attempt, report.now) : "-");
    if (!record.last_error.empty()) fmt::print(out, "  {}\n", record.last_error);
  }
}

}  // namespace rcptsync::service

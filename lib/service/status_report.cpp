#include "service/status_report.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/handle.hpp"
#include "service/location.hpp"
#include "service/target_tables.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

// The daemon holds an exclusive lock on this file as long as it lives; a shared one that we cannot
// get means it runs.
bool daemon_runs(const std::filesystem::path& state_dir) {
  const Fd fd{::open((state_dir / "daemon.lock").c_str(),
                     O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
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

/// Refusals, grace, and what a pin keeps out.
Result<> gather_marks(store::View& view, const config::Config& config, StatusReport& report) {
  auto refusals = view.refusals();
  if (!refusals) return refusals.error();
  report.refused = std::move(*refusals);
  const auto graced = view.each_grace([&](std::string_view, WallTime gone) {
    ++report.in_grace.count;
    const auto end = gone + config.removal.grace;
    if (!report.in_grace.next_end || end < *report.in_grace.next_end)
      report.in_grace.next_end = end;
    return true;
  });
  if (!graced || report.pinned == 0) return graced;
  auto& pending = report.pending.emplace();
  return view.each_pending([&](const store::Change& change) {
    pending.added += change.operation == store::Operation::added;
    pending.removed += change.operation == store::Operation::removed;
    pending.changed += change.operation == store::Operation::changed;
    return true;
  });
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
      if (auto done = gather_marks(view, config, report); !done) return done;
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
  auto orders = load_orders(config.state_dir);
  if (!orders) return orders.error();
  report.orders = std::move(*orders);
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
    if (!report.running) {
      row.runtime.watch.clear();
      row.runtime.reading.reset();
    }
    report.sources.push_back(std::move(row));
  }
  for (const auto& target : config.targets) {
    StatusReport::Target row{target.name, target.host, {}, {}, {}};
    for (auto& record : targets)
      if (record.name == target.name && record.location == location_of(target))
        row.record = std::move(record);
    const bool pushing = report.running && runtime.pushing.contains(target.name);
    if (const auto push = runtime.progress.find(target.name);
        pushing && push != runtime.progress.end())
      row.push = push->second;
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
                   {"held_by_configuration", report.held ? report.held->by_configuration : 0},
                   {"refused", json::array()},
                   {"in_grace", report.in_grace.count},
                   {"next_grace_end", time_or_null(report.in_grace.next_end)},
                   {"pending", nullptr},
                   {"orders", json::array()},
                   {"reading", json::array()},
                   {"pushing", json::array()},
                   {"first_tables_held", json::array()},
                   {"sources", json::array()},
                   {"targets", json::array()}};
  if (report.held)
    document["held"] = {{"digest", report.held->digest.hex()},
                        {"added", report.held->added},
                        {"removed", report.held->removed},
                        {"reason", report.held->reason},
                        {"since", rfc3339(report.held->since)}};
  for (const auto& refusal : report.refused)
    document["refused"].push_back({{"digest", refusal.digest.hex()},
                                   {"time", rfc3339(refusal.time)},
                                   {"by", refusal.by},
                                   {"count", refusal.count}});
  if (report.pending)
    document["pending"] = {{"added", report.pending->added},
                           {"removed", report.pending->removed},
                           {"changed", report.pending->changed}};
  for (const auto& order : report.orders)
    document["orders"].push_back(
        {{"kind", to_string(order.kind)}, {"by", order.by}, {"given", rfc3339(order.given)}});
  for (const auto& source : report.sources)
    if (source.runtime.reading)
      document["reading"].push_back({{"source", source.name},
                                     {"since", rfc3339(*source.runtime.reading)},
                                     {"objects", source.runtime.so_far},
                                     {"objects_before", source.objects}});
  for (const auto& target : report.targets) {
    if (target.push)
      document["pushing"].push_back({{"target", target.name},
                                     {"since", rfc3339(target.push->since)},
                                     {"sent", target.push->sent},
                                     {"total", target.push->total}});
    if (const auto& hold = target.record.hold)
      document["first_tables_held"].push_back({{"target", target.name},
                                               {"digest", hold->digest.hex()},
                                               {"removed", hold->removed},
                                               {"reason", hold->reason},
                                               {"since", rfc3339(hold->since)}});
  }
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

}  // namespace rcptsync::service

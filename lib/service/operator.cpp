#include "service/operator.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <map>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/difference.hpp"
#include "service/history.hpp"
#include "service/status_report.hpp"
#include "service/target_tables.hpp"
#include "service/why.hpp"
#include "store/store.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

ExitCode fail(EventSink& errors, const Error& error) {
  errors.emit({EventKind::diagnostic, Priority::error, error.message});
  return exit_failed;
}

Error no_state(const config::Config& config) {
  return {Errc::not_found, fmt::format("{} holds no state yet: rcptsyncd has not run here",
                                       config.state_dir.native())};
}

struct Difference {
  std::string title;
  std::vector<store::Change> changes;
};

Result<std::vector<store::Change>> changes_of(store::View& view, std::uint64_t number) {
  auto generation = view.generation(number);
  if (!generation) return generation.error();
  if (!*generation) return Error{Errc::not_found, fmt::format("generation {} is not kept", number)};
  std::vector<store::Change> changes;
  const auto visited = view.each_change(number, [&](const store::Change& change) {
    changes.push_back(change);
    return true;
  });
  if (!visited) return visited.error();
  return changes;
}

Result<Difference> held_difference(store::View& view, const store::Hold& hold) {
  Difference difference{
      fmt::format("held since {}: {}, digest {}: {}", rfc3339(hold.since),
                  counted(hold.removed, "removal"), hold.digest.brief(), hold.reason),
      {}};
  const auto visited = view.each_held([&](std::string_view address, const store::HeldRecord& held) {
    difference.changes.push_back(
        {held.reject.empty() ? store::Operation::removed : store::Operation::changed,
         std::string(address), held.reject});
    return true;
  });
  if (!visited) return visited.error();
  return difference;
}

/// The net change from one generation to a later one: what came and went in between cancels out.
Result<Difference> net_difference(store::View& view, std::uint64_t from, std::uint64_t to) {
  struct Net {
    bool before = false, after = false;
    std::string reject;
  };
  std::map<std::string, Net> net;
  for (auto number = from + 1; number <= to; ++number) {
    auto changes = changes_of(view, number);
    if (!changes) return changes.error();
    for (auto& change : *changes) {
      const auto [place, fresh] = net.try_emplace(change.address);
      if (fresh) place->second.before = change.operation != store::Operation::added;
      place->second.after = change.operation != store::Operation::removed;
      place->second.reject = text_of(change);
    }
  }
  Difference difference{fmt::format("generation {} to {}", from, to), {}};
  for (auto& [address, state] : net) {
    if (!state.before && !state.after) continue;
    const auto operation = !state.before  ? store::Operation::added
                           : !state.after ? store::Operation::removed
                                          : store::Operation::changed;
    difference.changes.push_back({operation, address, state.reject, state.reject});
  }
  return difference;
}

Result<Difference> find_difference(store::View& view, std::optional<std::uint64_t> from,
                                   std::optional<std::uint64_t> to) {
  if (from && to)
    return *from <= *to ? net_difference(view, *from, *to)
                        : Result<Difference>(
                              Error{Errc::invalid, "the first generation must be the older one"});
  if (!from) {
    auto hold = view.hold();
    if (!hold) return hold.error();
    if (*hold && (*hold)->removed > 0) return held_difference(view, **hold);
    const auto meta = view.meta();
    if (!meta) return meta.error();
    if (meta->generation == 0) return Error{Errc::not_found, "there is no generation yet"};
    from = meta->generation;
  }
  auto generation = view.generation(*from);
  if (!generation) return generation.error();
  auto changes = changes_of(view, *from);
  if (!changes) return changes.error();
  return Difference{fmt::format("generation {} of {} ({})", *from, rfc3339((*generation)->time),
                                store::to_string((*generation)->cause)),
                    std::move(*changes)};
}

void print_json(std::ostream& out, const Difference& difference) {
  json document = {{"title", difference.title},
                   {"added", json::array()},
                   {"removed", json::array()},
                   {"changed", json::array()}};
  for (const auto& change : difference.changes) {
    const char* list = change.operation == store::Operation::added     ? "added"
                       : change.operation == store::Operation::removed ? "removed"
                                                                       : "changed";
    const auto& text = text_of(change);
    document[list].push_back(
        {{"address", change.address}, {"reject", text.empty() ? json(nullptr) : json(text)}});
  }
  out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

}  // namespace

ExitCode print_status(const OperatorContext& context, std::ostream& out) {
  const auto report = gather_status(context.config, context.store, system_clock().wall());
  if (!report) return fail(context.errors, report.error());
  context.json ? print_status_json(out, *report) : print_status_text(out, *report);
  return report->failing() ? exit_failed : report->holding() ? exit_held : exit_ok;
}

ExitCode print_diff(const OperatorContext& context, std::optional<std::uint64_t> from,
                    std::optional<std::uint64_t> to, std::ostream& out) {
  if (!context.store) return fail(context.errors, no_state(context.config));
  Difference difference;
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    auto found = find_difference(view, from, to);
    if (!found) return found.error();
    difference = std::move(*found);
    return {};
  });
  if (!read) return fail(context.errors, read.error());
  if (context.json) {
    print_json(out, difference);
  } else {
    fmt::print(out, "{}\n", difference.title);
    print_domains(out, difference.changes);
    print_changes(out, difference.changes);
  }
  return exit_ok;
}

ExitCode print_history(const OperatorContext& context, std::size_t limit, std::ostream& out) {
  if (!context.store) return fail(context.errors, no_state(context.config));
  std::vector<store::Generation> generations;
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    auto gathered = gather_history(view, limit);
    if (!gathered) return gathered.error();
    generations = std::move(*gathered);
    return {};
  });
  if (!read) return fail(context.errors, read.error());
  if (context.json)
    print_history_json(out, generations);
  else
    print_history_text(out, generations, {context.width, context.colour});
  return exit_ok;
}

ExitCode print_table(const OperatorContext& context, const std::string& name, bool access,
                     std::ostream& out) {
  if (!context.store) return fail(context.errors, no_state(context.config));
  recipient::TableSettings settings;  // without a name: the whole table in format postfix
  if (!name.empty()) {
    const config::Target* target = nullptr;
    for (const auto& candidate : context.config.targets)
      if (candidate.name == name) target = &candidate;
    if (target == nullptr)
      return fail(context.errors,
                  {Errc::not_found, fmt::format("no target is named {}", escape(name))});
    settings = table_settings(context.config, *target);
  }
  settings.with_access = settings.with_access || access;
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    const auto made = make_target_tables(view, settings);
    if (!made) return made.error();
    if (made->generation == 0) return Error{Errc::not_found, "there is no table yet"};
    out << (access ? made->tables.access : made->tables.recipients).bytes;
    return {};
  });
  if (!read) return fail(context.errors, read.error());
  out.flush();
  return out ? exit_ok : exit_failed;
}

ExitCode print_why(const OperatorContext& context, const std::string& address, std::ostream& out) {
  if (!context.store) return fail(context.errors, no_state(context.config));
  WhyReport report;
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    auto gathered = gather_why(view, context.config, address);
    if (!gathered) return gathered.error();
    report = std::move(*gathered);
    return {};
  });
  if (!read) return fail(context.errors, read.error());
  context.json ? print_why_json(out, report) : print_why_text(out, report);
  return report.verdict == WhyReport::Verdict::listed ? exit_ok : exit_not_listed;
}

}  // namespace rcptsync::service

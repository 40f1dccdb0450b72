#include "service/find_difference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"
#include "service/wanted.hpp"
#include "store/ledger.hpp"

namespace rcptsync::service {
namespace {

using What = Difference::What;

/// The same with the names of the sources.
Result<Difference> named(store::View& view, Difference difference) {
  auto sources = view.sources();
  if (!sources) return sources.error();
  difference.sources = {{store::configuration_source, "configuration"}};
  for (auto& source : *sources) difference.sources.emplace(source.id, std::move(source.name));
  return difference;
}

/// What is accepted now in everything that the difference touches.
Result<> add_in_force(store::View& view, Difference& difference) {
  const auto meta = view.meta();
  if (!meta) return meta.error();
  const auto sources = view.sources();
  if (!sources) return sources.error();
  Difference::InForce in_force;
  in_force.all = meta->accepted;
  for (std::size_t i = 0; i < meta->classes.size(); ++i)
    in_force.classes.emplace(recipient::to_string(static_cast<recipient::ObjectClass>(i)),
                             meta->classes[i]);
  auto by_sources = meta->accepted;
  for (const auto& source : *sources) {
    in_force.sources.emplace(source.name, source.accepted);
    by_sources -= std::min(by_sources, source.accepted);
  }
  in_force.sources.emplace("configuration", by_sources);
  for (const auto& [change, by_configuration] : difference.entries) {
    const auto domain = recipient::domain_of(change.address);
    if (in_force.domains.contains(domain)) continue;
    const auto record = view.domain(domain);
    if (!record) return record.error();
    in_force.domains.emplace(domain, *record ? (*record)->accepted : 0);
  }
  difference.in_force = std::move(in_force);
  return {};
}

std::vector<std::string> split_reasons(std::string_view joined) {
  std::vector<std::string> reasons;
  while (!joined.empty()) {
    const auto end = joined.find("; ");
    reasons.emplace_back(joined.substr(0, end));
    joined.remove_prefix(end == std::string_view::npos ? joined.size() : end + 2);
  }
  return reasons;
}

Error not_kept(std::uint64_t number) {
  return {
      Errc::not_found,
      fmt::format("generation {} is not kept; rcptsyncctl history lists those that are", number)};
}

Result<> add_held(store::View& view, Difference& difference) {
  Result<> looked_up;
  const auto visited = view.each_held([&](std::string_view address, const store::HeldRecord& held) {
    const auto row = view.recipient(address);
    if (!row) {
      looked_up = row.error();
      return false;
    }
    Difference::Entry entry;
    entry.by_configuration = held.by_configuration;
    entry.change.operation =
        held.reject.empty() ? store::Operation::removed : store::Operation::changed;
    entry.change.address = address;
    entry.change.reject = held.reject;
    if (*row) {
      entry.change.before = (*row)->reject;
      entry.change.source = (*row)->source;
      entry.change.kind = (*row)->kind;
    }
    difference.entries.push_back(std::move(entry));
    return true;
  });
  return visited ? looked_up : visited;
}

/// Before the first table: everything that its owners want.
Result<> add_wanted(store::View& view, Difference& difference) {
  return view.each_owned([&](std::string_view address, const std::vector<store::Owner>& owners) {
    const auto want = wanted(owners);
    Difference::Entry entry;
    entry.change.address = address;
    entry.change.reject = want.reject;
    entry.change.source = want.source;
    entry.change.kind = want.kind;
    if (want.listed) difference.entries.push_back(std::move(entry));
    return Result<bool>{true};
  });
}

Result<Difference> between(store::View& view, std::uint64_t from, std::uint64_t to) {
  auto changes = store::net_changes(view, from, to);
  if (!changes && changes.error().code == Errc::not_found) {
    const auto first = view.generation(from);
    if (!first) return first.error();
    return not_kept(*first ? to : from);
  }
  if (!changes) return changes.error();
  Difference difference;
  difference.what = What::between;
  difference.title = fmt::format("generation {} to {}", from, to);
  difference.from = from;
  difference.to = to;
  for (auto& change : *changes) difference.entries.push_back({std::move(change), false});
  return named(view, std::move(difference));
}

Result<Difference> pending(store::View& view, std::uint64_t pinned) {
  Difference difference;
  difference.what = What::pending;
  difference.title = fmt::format(
      "pending: generation {} is pinned by a rollback; this is what rcptsyncctl resync would bring",
      pinned);
  difference.from = pinned;
  const auto visited = view.each_pending([&](const store::Change& change) {
    difference.entries.push_back({change, false});
    return true;
  });
  if (!visited) return visited.error();
  if (auto added = add_in_force(view, difference); !added) return added.error();
  return named(view, std::move(difference));
}

Result<Difference> first_table(store::View& view, const std::string& target) {
  const auto record = view.target(target);
  if (!record) return record.error();
  if (!*record || !(*record)->hold)
    return Error{Errc::not_found,
                 fmt::format("no first table of {} is held: it has no hold, or is not a target",
                             escape(target))};
  const auto& hold = *(*record)->hold;
  Difference difference;
  difference.what = What::first_table;
  difference.title = fmt::format(
      "target {}, held since {}: its first table would take {} from what it accepts now", target,
      rfc3339(hold.since), counted(hold.removed, "address", "addresses"));
  difference.digest = hold.digest;
  difference.reasons = split_reasons(hold.reason);
  difference.attributed = false;
  const auto visited = view.each_loss(target, [&](std::string_view address) {
    Difference::Entry entry;
    entry.change.operation = store::Operation::removed;
    entry.change.address = address;
    difference.entries.push_back(std::move(entry));
    return true;
  });
  if (!visited) return visited.error();
  return difference;
}

Result<Difference> latest(store::View& view) {
  const auto hold = view.hold();
  if (!hold) return hold.error();
  if (*hold) return held_difference(view, **hold);
  const auto meta = view.meta();
  if (!meta) return meta.error();
  if (meta->pinned > 0) return pending(view, meta->pinned);
  if (meta->generation == 0) return Error{Errc::not_found, "there is no generation yet"};
  return generation_difference(view, meta->generation);
}

}  // namespace

Result<Difference> generation_difference(store::View& view, std::uint64_t number) {
  const auto generation = view.generation(number);
  if (!generation) return generation.error();
  if (!*generation) return not_kept(number);
  Difference difference;
  difference.what = What::generation;
  difference.title = fmt::format("generation {} of {} ({})", number, rfc3339((*generation)->time),
                                 store::to_string((*generation)->cause));
  difference.digest = (*generation)->digest;
  difference.to = number;
  const bool configured = (*generation)->cause == store::Cause::configuration;
  const auto visited = view.each_change(number, [&](const store::Change& change) {
    difference.entries.push_back({change, configured});
    return true;
  });
  if (!visited) return visited.error();
  return named(view, std::move(difference));
}

Result<Difference> held_difference(store::View& view, const store::Hold& hold) {
  const auto meta = view.meta();
  if (!meta) return meta.error();
  const bool first = meta->generation == 0;
  Difference difference;
  difference.what = What::held;
  difference.title = first ? fmt::format("held since {}: the first table", rfc3339(hold.since))
                           : fmt::format("held since {}: {}", rfc3339(hold.since),
                                         counted(hold.removed, "removal"));
  difference.digest = hold.digest;
  difference.reasons = split_reasons(hold.reason);
  difference.from = meta->generation;
  if (auto added = first ? add_wanted(view, difference) : add_held(view, difference); !added)
    return added.error();
  if (!first)
    if (auto added = add_in_force(view, difference); !added) return added.error();
  return named(view, std::move(difference));
}

Result<Difference> find_difference(store::View& view, const DifferenceQuery& query) {
  if (!query.target.empty()) return first_table(view, query.target);
  if (!query.from) return latest(view);
  return query.to ? between(view, *query.from, *query.to)
                  : generation_difference(view, *query.from);
}

}  // namespace rcptsync::service

#include "service/cycle.hpp"

#include <algorithm>
#include <utility>

#include "recipient/address.hpp"

namespace rcptsync::service {
namespace {

store::Change change_of(const Candidate& candidate) {
  return {candidate.reject.empty() ? store::Operation::removed : store::Operation::changed,
          candidate.address,
          candidate.reject,
          {},
          candidate.before.source,
          candidate.before.kind};
}

}  // namespace

Result<> Cycle::decide() {
  auto missing = canaries_missing();
  if (!missing) return missing.error();
  Circumstances circumstances{.marks = marks_, .rows = rows_};
  circumstances.accepted = meta_.accepted;
  circumstances.classes = meta_.classes;
  circumstances.canaries = std::move(*missing);
  circumstances.first_table = meta_.generation == 0;
  circumstances.supplied = static_cast<std::int64_t>(meta_.supplied) + rows_.supplied_delta();
  for (const auto& candidate : removals_.all())
    circumstances.supplied -= candidate.before.supplied ? 1 : 0;
  auto verdict = removals_.judge(transaction_, input_.config->guard, sources_, circumstances);
  if (!verdict) return verdict.error();
  report.domains = removals_.domains();
  report.reasons = verdict->reasons;
  if (verdict->action == sync::GuardVerdict::Action::hold_all)
    return hold({}, store::Hold{rows_.digest(), input_.now, rows_.size(), 0, joined(), 0});
  if (input_.additions_only && verdict->action == sync::GuardVerdict::Action::publish)
    return wait_for_all_sources();

  CycleMarks::HeldRecords held;
  std::uint64_t by_configuration = 0;
  for (const auto& candidate : removals_.all()) {
    if (CycleRemovals::goes(candidate, *verdict)) {
      // What is expired goes with a cycle that reads every source.
      const bool waits = input_.additions_only && candidate.kind != Candidate::Kind::approved;
      if (auto done = waits ? stay(candidate.address, candidate.before) : let_go(candidate); !done)
        return done;
      continue;
    }
    held.emplace(candidate.address,
                 store::HeldRecord{candidate.reject, candidate.by_configuration});
    by_configuration += candidate.by_configuration ? 1 : 0;
    if (auto done = stay(candidate.address, candidate.before); !done) return done;
  }
  std::optional<store::Hold> next;
  if (!held.empty())
    next = store::Hold{verdict->digest, input_.now, 0, held.size(), joined(), by_configuration};
  return hold(held, std::move(next));
}

// Nobody has to decide anything new: the next poll judges what waits as one change. What was held
// before stays so until then, as far as it is still gone and no operator had a word on it.
Result<> Cycle::wait_for_all_sources() {
  report.reasons.clear();
  CycleMarks::HeldRecords held;
  std::vector<sync::RemovalCandidate> digested;
  std::uint64_t by_configuration = 0;
  for (const auto& candidate : removals_.all()) {
    if (candidate.kind == Candidate::Kind::approved) {
      if (auto done = let_go(candidate); !done) return done;
      continue;
    }
    if (auto done = stay(candidate.address, candidate.before); !done) return done;
    if (const auto* before = marks_.held(candidate.address, candidate.reject)) {
      held.emplace(candidate.address, *before);
      digested.push_back({candidate.address, candidate.reject});
      by_configuration += before->by_configuration ? 1 : 0;
    } else if (auto done = marks_.pend(change_of(candidate)); !done) {
      return done;
    }
  }
  auto before = transaction_.hold();
  if (!before) return before.error();
  auto next = std::move(*before);
  if (held.empty() || !next) {
    next.reset();
  } else if (held != marks_.held()) {
    next->digest = sync::removal_digest(digested);
    next->removed = held.size();
    next->by_configuration = by_configuration;
  }
  return hold(held, std::move(next));
}

Result<> Cycle::let_go(const Candidate& candidate) {
  const auto& [address, reject, before, kind, by_configuration] = candidate;
  if (kind == Candidate::Kind::approved)
    ++approved_;
  else if (marks_.held().contains(address))
    ++report.held_released;
  const bool known = marks_.grace(address).has_value();
  if (reject.empty() && !known && input_.config->removal.grace.count() > 0) {
    if (auto done = marks_.begin_grace(address, input_.now); !done) return done;
    if (!defers()) return stay(address, before);
    rows_.put(address, as_it_was(before, deferral), before, by_configuration);
    return {};
  }
  if (reject.empty())
    rows_.erase(address, before, by_configuration);
  else
    rows_.put(address, as_it_was(before, reject), before, by_configuration);
  return marks_.end_grace(address);
}

Result<std::vector<std::string>> Cycle::canaries_missing() {
  std::vector<std::string> missing;
  for (const auto& canary : input_.config->guard.canaries) {
    const auto address = recipient::parse_address(canary).canonical;
    const auto owners = transaction_.owners(address);
    if (!owners) return owners.error();
    if (wanted(*owners).supplied) continue;
    if (meta_.generation == 0) {
      missing.push_back(canary);
      continue;
    }
    const auto row = transaction_.recipient(address);
    if (!row) return row.error();
    const auto refused = marks_.refused(address);
    if (!refused) return refused.error();
    const bool approved = std::any_of(
        removals_.all().begin(), removals_.all().end(), [&](const Candidate& candidate) {
          return candidate.kind == Candidate::Kind::approved && candidate.address == address;
        });
    if (*row && (*row)->reject.empty() && !*refused && !approved && !marks_.grace(address))
      missing.push_back(canary);
  }
  return missing;
}

std::string Cycle::joined() const {
  std::string text;
  for (const auto& reason : report.reasons) text += (text.empty() ? "" : "; ") + reason;
  return text;
}

Result<> Cycle::hold(const CycleMarks::HeldRecords& held, std::optional<store::Hold> next) {
  if (auto done = marks_.replace_held(held); !done) return done;
  auto before = transaction_.hold();
  if (!before) return before.error();
  if (next) {
    report.hold_is_new = !*before || (*before)->digest != next->digest;
    next->since = report.hold_is_new ? input_.now : (*before)->since;
  }
  report.hold_ended = *before && !next;
  report.hold = next;
  if (in_full_)
    for (const auto& [address, record] : held) report.held.push_back(address);
  if (*before == next) return {};
  wrote_ = true;
  return transaction_.put_hold(next);
}

}  // namespace rcptsync::service

#include "service/cycle.hpp"

#include <utility>

namespace rcptsync::service {
namespace {

void keep_attribution(Wanted& after, const store::RecipientRecord& row) {
  after.source = row.source;
  after.kind = row.kind;
}

bool is_configured(const store::RecipientRecord& row) {
  return row.source == store::configuration_source;
}

}  // namespace

Result<> Cycle::each_touched(const std::set<std::string, std::less<>>& others, const Visit& visit) {
  std::set<std::string, std::less<>> done;
  auto finished = ownership_.finish([&](const Ownership::Touched& touched) -> Result<> {
    if (others.contains(touched.address)) done.emplace(touched.address);
    return visit(touched.address, wanted(touched.owners), {touched.configuration, touched.data});
  });
  if (!finished) return finished;
  for (const auto& address : others) {
    if (done.contains(address)) continue;
    auto owners = transaction_.owners(address);
    if (!owners) return owners.error();
    if (auto visited = visit(texts_.keep(address), wanted(*owners), {}); !visited) return visited;
  }
  return {};
}

Result<> Cycle::each_owned(const Visit& visit) {
  auto finished = ownership_.finish([](const Ownership::Touched&) -> Result<> { return {}; });
  if (!finished) return finished;
  return transaction_.each_owned(
      [&](std::string_view address, const std::vector<store::Owner>& owners) -> Result<bool> {
        if (auto visited = visit(texts_.keep(address), wanted(owners), {}); !visited)
          return visited.error();
        return true;
      });
}

Result<> Cycle::compare_and_decide() {
  const Visit visit = [this](std::string_view address, const Wanted& want, Reason why) {
    return compare(address, want, why);
  };
  // (No rules are known before the first cycle that was written, and that one touches
  // everything.)
  const bool all = meta_.generation == 0 && meta_before_.rules != Digest{};
  auto compared = all ? each_owned(visit) : each_touched(untouched(), visit);
  if (!compared) return compared;
  return decide();
}

std::set<std::string, std::less<>> Cycle::untouched() const {
  std::set<std::string, std::less<>> addresses;
  for (const auto& [address, record] : marks_.held()) addresses.insert(address);
  for (const auto& [address, gone] : marks_.graces()) addresses.insert(address);
  for (const auto& [address, change] : marks_.pending()) addresses.insert(address);
  for (auto& address : orders_.addresses()) addresses.insert(std::move(address));
  return addresses;
}

Result<> Cycle::compare(std::string_view address, const Wanted& want, Reason why) {
  auto found = transaction_.recipient(address);
  if (!found) return found.error();
  const auto& row = *found;
  if (want.accepts()) return accept(address, want, row, why);
  if (row && row->reject.empty()) return take_away(address, want, *row, why);
  return compare_rejected(address, want, row, why);
}

Result<> Cycle::accept(std::string_view address, const Wanted& want, const CycleRows::Before& row,
                       Reason why) {
  if (auto done = marks_.end_refusal(address); !done) return done;
  if (auto done = marks_.end_grace(address); !done) return done;
  if (marks_.held().contains(address)) ++report.held_returned;
  if (!row || !row->reject.empty() || row->supplied != want.supplied ||
      row->source != want.source || row->kind != want.kind)
    rows_.put(address, want, row, why.only_configuration());
  return {};
}

Result<> Cycle::take_away(std::string_view address, const Wanted& want,
                          const store::RecipientRecord& row, Reason why) {
  const auto refused = marks_.refused(address);
  if (!refused) return refused.error();
  const bool approved = orders_.lets_go(address, want.reject, *refused);
  if (*refused && !approved) return stay(address, row);
  if (const auto* refusal = orders_.refuses(address, want.reject)) {
    if (auto done = marks_.refuse(address, *refusal); !done) return done;
    if (auto done = marks_.end_grace(address); !done) return done;
    return stay(address, row);
  }
  if (auto done = marks_.end_refusal(address); !done) return done;
  // Grace is for what vanished: a text takes effect at once, if the guard lets it.
  if (want.listed)
    if (auto done = marks_.end_grace(address); !done) return done;

  const auto* held = marks_.held(address, want.reject);
  Candidate candidate{std::string(address), std::string(want.reject), row};
  candidate.by_configuration =
      held != nullptr ? held->by_configuration : why.configuration || is_configured(row);
  if (approved) {
    candidate.kind = Candidate::Kind::approved;
  } else if (const auto gone = marks_.grace(address); gone) {
    if (!over(*gone) || (input_.additions_only && held == nullptr))
      return defers() && !over(*gone) ? defer(address, row) : stay(address, row);
    candidate.kind = Candidate::Kind::expired;
  }
  removals_.add(std::move(candidate));
  return {};
}

Result<> Cycle::compare_rejected(std::string_view address, const Wanted& want,
                                 const CycleRows::Before& row, Reason why) {
  const auto gone = marks_.grace(address);
  if (want.listed || !row) {
    if (auto done = marks_.end_grace(address); !done) return done;
    if (!want.listed) return {};
    if (row && row->reject == want.reject) return {};
    auto after = want;
    if (row) keep_attribution(after, *row);
    rows_.put(address, after, row, why.only_configuration());
    return {};
  }
  if (gone && !over(*gone)) {
    if (!defers()) rows_.put(address, as_it_was(*row, {}), row, true);
    return {};
  }
  // What is answered 450 goes when its time is over, unless somebody might still have it. A
  // rollback brings such rows back without their time.
  const bool deferred = gone || row->reject.starts_with('4');
  if (deferred && (input_.additions_only || !sources_.well())) {
    if (gone) return {};
    return marks_.pend(
        {store::Operation::removed, std::string(address), {}, row->reject, row->source, row->kind});
  }
  rows_.erase(address, *row, why.only_configuration());
  return marks_.end_grace(address);
}

Wanted Cycle::as_it_was(const store::RecipientRecord& row, std::string_view reject) {
  return {true, reject, false, row.source, row.kind};
}

Result<> Cycle::stay(std::string_view address, const store::RecipientRecord& row) {
  if (row.supplied) rows_.put(address, as_it_was(row, {}), row);
  return {};
}

// In grace and still accepted, while the settings say 450 by now.
Result<> Cycle::defer(std::string_view address, const store::RecipientRecord& row) {
  if (input_.additions_only || !sources_.well()) return stay(address, row);
  rows_.put(address, as_it_was(row, deferral), row, true);
  return {};
}

bool Cycle::defers() const {
  return input_.config->removal.answer == config::Removal::Answer::defer;
}

bool Cycle::over(WallTime gone) const {
  return input_.now >= gone + input_.config->removal.grace;
}

}  // namespace rcptsync::service

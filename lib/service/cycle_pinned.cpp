#include "service/cycle.hpp"

namespace rcptsync::service {

// Nothing that a target can see follows the owners. A rollback changes the rows once.
Result<> Cycle::follow_pinned() {
  std::set<std::string, std::less<>> others;
  if (orders_.rollback()) {
    others = untouched();
    for (const auto& [address, change] : *orders_.rollback()) others.insert(address);
    while (!marks_.graces().empty())
      if (auto done = marks_.end_grace(std::string(marks_.graces().begin()->first)); !done)
        return done;
  }
  auto followed = each_touched(
      others, [this](std::string_view address, const Wanted& want, Reason) -> Result<> {
        return follow_pinned_row(address, want);
      });
  if (!followed) return followed;
  return hold({}, std::nullopt);
}

Result<> Cycle::follow_pinned_row(std::string_view address, const Wanted& want) {
  if (want.accepts())
    if (auto done = marks_.end_refusal(address); !done) return done;
  const auto refused = marks_.refused(address);
  if (!refused) return refused.error();
  const auto row = transaction_.recipient(address);
  if (!row) return row.error();
  const auto after = pinned_row(address, *row, want);
  if (!after && *row)
    rows_.erase(address, **row);
  else if (after &&
           (!*row || (*row)->reject != after->reject || (*row)->supplied != after->supplied ||
            (*row)->source != after->source || (*row)->kind != after->kind))
    rows_.put(address, *after, *row);

  const bool kept = after && after->accepts() && !want.accepts() && *refused;
  const bool differs = want.listed ? !after || after->reject != want.reject : after.has_value();
  if (!differs || kept) return marks_.unpend(address);
  store::Change change;
  change.operation = !want.listed ? store::Operation::removed
                     : after      ? store::Operation::changed
                                  : store::Operation::added;
  change.address = address;
  change.reject = want.listed ? want.reject : std::string_view();
  change.before = after ? after->reject : std::string_view();
  change.source = want.listed ? want.source : after->source;
  change.kind = want.listed ? want.kind : after->kind;
  return marks_.pend(change);
}

std::optional<Wanted> Cycle::pinned_row(std::string_view address, const CycleRows::Before& row,
                                        const Wanted& want) const {
  std::optional<Wanted> after;
  if (row) after = as_it_was(*row, row->reject);
  if (orders_.rollback())
    if (const auto change = orders_.rollback()->find(address);
        change != orders_.rollback()->end()) {
      const auto& [operation, name, reject, before, source, kind] = change->second;
      if (operation == store::Operation::removed)
        after.reset();
      else
        after =
            Wanted{true, reject, false, sources_.find(source) ? source : store::SourceId{}, kind};
    }
  if (after && after->accepts() && want.accepts()) after = want;
  return after;
}

}  // namespace rcptsync::service

#include "service/cycle.hpp"

#include <algorithm>
#include <chrono>

namespace rcptsync::service {

store::Cause Cycle::cause(bool first) const {
  if (orders_.rollback()) return store::Cause::rollback;
  if (approved_ > 0) return store::Cause::approval;
  if (orders_.ends_pin()) return store::Cause::resync;
  if (!first && rows_.by_configuration() == rows_.visible()) return store::Cause::configuration;
  return input_.cause;
}

Result<> Cycle::put_generation(bool first) {
  store::Generation generation;
  generation.number = ++meta_.generation;
  generation.time = input_.now;
  generation.cause = cause(first);
  generation.total = meta_.accepted;
  rows_.each_change([&](const store::ChangeView& change) {
    generation.added += change.operation == store::Operation::added;
    generation.removed += change.operation == store::Operation::removed;
    generation.changed += change.operation == store::Operation::changed;
    if (in_full_)
      report.changes.push_back({change.operation, std::string(change.address),
                                std::string(change.reject), std::string(change.before),
                                change.source, change.kind});
  });
  const store::ChangeStream changes =
      [this](const std::function<void(const store::ChangeView&)>& take) {
        rows_.each_change(take);
      };
  if (auto put = transaction_.put_generation_from(generation, changes); !put) return put;
  report.generation = generation;
  wrote_ = true;
  return trim_history();
}

// At most history.keep look-ups, and nearly always one: the oldest generation that is kept is
// young enough. The generation in force is always kept, and one that is pinned with all after it.
Result<> Cycle::trim_history() {
  const auto& history = input_.config->history;
  std::uint64_t first = meta_.generation > history.keep ? meta_.generation - history.keep + 1 : 1;
  const auto oldest_time = input_.now - history.age;
  for (; first < meta_.generation; ++first) {
    auto generation = transaction_.generation(first);
    if (!generation) return generation.error();
    if (*generation && (*generation)->time >= oldest_time) break;
  }
  first = std::min(first, meta_.generation);
  if (meta_.pinned != 0) first = std::min(first, meta_.pinned);
  return transaction_.erase_generations_before(first);
}

}  // namespace rcptsync::service

#include "service/cycle_marks.hpp"

#include <algorithm>
#include <utility>

namespace rcptsync::service {

Result<> CycleMarks::open() {
  auto visited =
      transaction_.each_held([&](std::string_view address, const store::HeldRecord& record) {
        held_.emplace(address, record);
        return true;
      });
  if (!visited) return visited;
  visited = transaction_.each_grace([&](std::string_view address, WallTime gone) {
    graces_.emplace(address, gone);
    return true;
  });
  if (!visited) return visited;
  auto refusals = transaction_.refusals();
  if (!refusals) return refusals.error();
  refusals_before_ = refusals_ = std::move(*refusals);
  return {};
}

Result<> CycleMarks::open_pending() {
  return transaction_.each_pending([&](const store::Change& change) {
    pending_.emplace(change.address, change);
    return true;
  });
}

// ---- held

const store::HeldRecord* CycleMarks::held(std::string_view address, std::string_view reject) const {
  const auto found = held_.find(address);
  return found != held_.end() && found->second.reject == reject ? &found->second : nullptr;
}

Result<> CycleMarks::replace_held(const HeldRecords& next) {
  if (next == held_) return {};
  wrote_ = true;
  for (const auto& [address, record] : held_)
    if (!next.contains(address))
      if (auto erased = transaction_.erase_held(address); !erased) return erased;
  for (const auto& [address, record] : next)
    if (const auto before = held_.find(address); before == held_.end() || before->second != record)
      if (auto put = transaction_.put_held(address, record); !put) return put;
  return {};
}

// ---- refused

Result<std::optional<Digest>> CycleMarks::refused(std::string_view address) {
  if (refusals_.empty()) return std::optional<Digest>();
  return transaction_.refused(address);
}

store::Refusal* CycleMarks::find_refusal(const Digest& digest) {
  const auto found = std::find_if(refusals_.begin(), refusals_.end(),
                                  [&](const auto& known) { return known.digest == digest; });
  return found == refusals_.end() ? nullptr : &*found;
}

const store::Refusal* CycleMarks::refusal(const Digest& digest) const {
  return const_cast<CycleMarks*>(this)->find_refusal(digest);
}

void CycleMarks::add_refusal(const store::Refusal& refusal) {
  if (find_refusal(refusal.digest) == nullptr) refusals_.push_back(refusal);
}

Result<> CycleMarks::refuse(std::string_view address, const Digest& digest) {
  wrote_ = true;
  ++find_refusal(digest)->count;
  return transaction_.put_refused(address, digest);
}

Result<> CycleMarks::end_refusal(std::string_view address) {
  const auto by = refused(address);
  if (!by) return by.error();
  if (!*by) return {};
  wrote_ = true;
  if (auto* refusal = find_refusal(**by); refusal != nullptr && refusal->count > 0)
    --refusal->count;
  return transaction_.erase_refused(address);
}

std::uint64_t CycleMarks::refused_total() const {
  std::uint64_t total = 0;
  for (const auto& refusal : refusals_) total += refusal.count;
  return total;
}

// ---- grace

std::optional<WallTime> CycleMarks::grace(std::string_view address) const {
  const auto found = graces_.find(address);
  return found == graces_.end() ? std::nullopt : std::optional(found->second);
}

Result<> CycleMarks::begin_grace(std::string_view address, WallTime now) {
  wrote_ = true;
  graces_.emplace(address, now);
  return transaction_.put_grace(address, now);
}

Result<> CycleMarks::end_grace(std::string_view address) {
  const auto found = graces_.find(address);
  if (found == graces_.end()) return {};
  wrote_ = true;
  auto erased = transaction_.erase_grace(address);
  graces_.erase(found);
  return erased;
}

// ---- pending

Result<> CycleMarks::pend(const store::Change& change) {
  pending_again_.insert(change.address);
  if (const auto known = pending_.find(change.address);
      known != pending_.end() && known->second == change)
    return {};
  wrote_ = true;
  return transaction_.put_pending(change);
}

Result<> CycleMarks::unpend(std::string_view address) {
  return transaction_.erase_pending(address);
}

Result<> CycleMarks::close(bool pinned) {
  if (!pinned)
    for (const auto& [address, change] : pending_)
      if (!pending_again_.contains(address)) {
        wrote_ = true;
        if (auto erased = transaction_.erase_pending(address); !erased) return erased;
      }
  for (const auto& refusal : refusals_) {
    const auto before =
        std::find_if(refusals_before_.begin(), refusals_before_.end(),
                     [&](const store::Refusal& known) { return known.digest == refusal.digest; });
    const bool known = before != refusals_before_.end();
    if (known ? *before == refusal : refusal.count == 0) continue;
    wrote_ = true;
    if (auto put = refusal.count == 0 ? transaction_.erase_refusal(refusal.digest)
                                      : transaction_.put_refusal(refusal);
        !put)
      return put;
  }
  return {};
}

}  // namespace rcptsync::service

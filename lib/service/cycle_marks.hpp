// cycle_marks — what is noted beside the table in force, before and after one cycle: which removals
// are held, refused by an operator, or in grace, and where the table does not follow its owners
// yet.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "service/wanted.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

class CycleMarks {
 public:
  using HeldRecords = std::map<std::string, store::HeldRecord, std::less<>>;
  using Graces = std::map<std::string, WallTime, std::less<>>;

  explicit CycleMarks(store::Transaction& transaction) : transaction_(transaction) {}

  /// Reads what there is, but not what is pending.
  Result<> open();

  // ---- held: all or nothing of it is replaced at the end

  /// As the cycle found it.
  [[nodiscard]] const HeldRecords& held() const { return held_; }
  /// Null if the removal was not held before with just this text.
  [[nodiscard]] const store::HeldRecord* held(std::string_view address,
                                              std::string_view reject) const;
  Result<> replace_held(const HeldRecords& next);

  // ---- refused

  /// The refusal that keeps the address.
  Result<std::optional<Digest>> refused(std::string_view address);
  [[nodiscard]] const store::Refusal* refusal(const Digest& digest) const;
  Result<> refuse(std::string_view address, const Digest& digest);
  /// If it is refused.
  Result<> end_refusal(std::string_view address);
  /// Addresses that refusals keep.
  [[nodiscard]] std::uint64_t refused_total() const;
  /// A refusal that begins: its addresses are counted by refuse().
  void add_refusal(const store::Refusal& refusal);

  // ---- grace

  /// As it is now.
  [[nodiscard]] const Graces& graces() const { return graces_; }
  [[nodiscard]] std::optional<WallTime> grace(std::string_view address) const;
  Result<> begin_grace(std::string_view address, WallTime now);
  /// If it is in grace.
  Result<> end_grace(std::string_view address);

  // ---- pending

  /// While a table is pinned there can be much of it, and it is not needed.
  Result<> open_pending();
  /// As the cycle found it, after open_pending().
  [[nodiscard]] const std::map<std::string, store::Change, std::less<>>& pending() const {
    return pending_;
  }
  /// The table does not follow this yet.
  Result<> pend(const store::Change& change);
  /// For a pinned table: the row is again what its owners want.
  Result<> unpend(std::string_view address);

  /// Writes what was collected. `pinned`: what was pending stays so; else only what was noted
  /// again.
  Result<> close(bool pinned);

  /// True if anything is different from what was found.
  [[nodiscard]] bool wrote() const { return wrote_; }

 private:
  store::Refusal* find_refusal(const Digest& digest);

  store::Transaction& transaction_;
  HeldRecords held_;
  Graces graces_;
  std::vector<store::Refusal> refusals_before_, refusals_;
  std::map<std::string, store::Change, std::less<>> pending_;
  std::set<std::string, std::less<>> pending_again_;
  bool wrote_ = false;
};

}  // namespace rcptsync::service

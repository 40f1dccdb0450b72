// cycle_orders — what operators ordered, as far as one cycle can carry it out: whose removals go
// whatever the guard says, whose are refused, and whether the table is pinned afterwards.
//
// Orders are taken one after the other, and a later word on the same address counts. An order that
// cannot be carried out gets a sentence for whoever gave it, and changes nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "service/cycle_marks.hpp"
#include "service/orders.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

/// What became of an order.
struct OrderResult {
  std::string id;
  bool ok = false;
  std::string message;      ///< for whoever gave it: one sentence
  std::uint64_t count = 0;  ///< approve, reject: addresses that it concerned
  bool operator==(const OrderResult&) const = default;
};

class CycleOrders {
 public:
  explicit CycleOrders(const std::vector<Order>& orders) : orders_(orders) {}

  /// Decides what each of them may do. Fails only if the state cannot be read.
  Result<> open(store::Transaction& transaction, const store::Meta& meta, CycleMarks& marks,
                WallTime now);

  /// The table as it is pinned afterwards; 0: it is not.
  [[nodiscard]] std::uint64_t pinned() const { return pinned_; }
  /// From the table in force to that generation's, if a rollback is carried out.
  [[nodiscard]] const std::optional<std::map<std::string, store::Change, std::less<>>>& rollback()
      const {
    return rollback_;
  }
  [[nodiscard]] bool ends_pin() const { return ends_pin_; }

  /// Addresses that have to be compared because of an order.
  [[nodiscard]] std::vector<std::string> addresses() const;

  /// True if an order lets this removal go. `refused`: the refusal that keeps the address.
  bool lets_go(std::string_view address, std::string_view reject,
               const std::optional<Digest>& refused);
  /// The refusal that an order makes of this removal, or null.
  const Digest* refuses(std::string_view address, std::string_view reject);

  /// Removals that orders let go.
  [[nodiscard]] std::uint64_t approved() const { return approved_; }

  /// One for each order, in their order. `generation`: in force afterwards.
  [[nodiscard]] std::vector<OrderResult> results(std::uint64_t generation) const;

 private:
  struct Word {
    std::size_t order = 0;
    std::string reject;
  };

  Result<> take(std::size_t index);
  Result<> approve(std::size_t index);
  Result<> reject(std::size_t index);
  Result<> roll_back(std::size_t index);
  void end_pin(std::size_t index);
  void refuse_order(std::size_t index, std::string why);
  /// Gives the order the word on those of its removals that are held or, if `or_refused`, refused.
  Result<std::uint64_t> take_removals(std::size_t index, bool or_refused);

  const std::vector<Order>& orders_;
  store::Transaction* transaction_ = nullptr;
  CycleMarks* marks_ = nullptr;
  store::Meta meta_;
  WallTime now_{};
  std::vector<OrderResult> results_;
  std::map<std::string, Word, std::less<>> words_;
  std::map<Digest, std::size_t> refusals_;  ///< that an order lets go whole
  std::vector<std::string> refused_;        ///< addresses that those keep
  std::optional<std::map<std::string, store::Change, std::less<>>> rollback_;
  std::uint64_t pinned_ = 0;
  bool ends_pin_ = false;
  std::uint64_t approved_ = 0;
};

}  // namespace rcptsync::service

#include "service/cycle_orders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/escape.hpp"
#include "store/ledger.hpp"

namespace rcptsync::service {
namespace {

std::string removals_text(std::uint64_t count) {
  return fmt::format("{} removal{}", count, count == 1 ? "" : "s");
}

}  // namespace

Result<> CycleOrders::open(store::Transaction& transaction, const store::Meta& meta,
                           CycleMarks& marks, WallTime now) {
  transaction_ = &transaction;
  marks_ = &marks;
  meta_ = meta;
  now_ = now;
  pinned_ = meta.pinned;
  for (const auto& order : orders_) results_.push_back({order.id, true, {}, 0});
  for (std::size_t i = 0; i < orders_.size(); ++i)
    if (auto taken = take(i); !taken) return taken;
  return {};
}

Result<> CycleOrders::take(std::size_t index) {
  switch (orders_[index].kind) {
    case Order::Kind::approve:
      return approve(index);
    case Order::Kind::reject:
      return reject(index);
    case Order::Kind::rollback:
      return roll_back(index);
    case Order::Kind::resync:
      end_pin(index);
      return {};
    default:
      refuse_order(index, "this is no order to the state");
      return {};
  }
}

void CycleOrders::refuse_order(std::size_t index, std::string why) {
  results_[index].ok = false;
  results_[index].message = std::move(why);
}

// ---- approve, reject

Result<> CycleOrders::approve(std::size_t index) {
  const auto& order = orders_[index];
  if (pinned_ != 0) {
    refuse_order(index, fmt::format("the table is pinned to generation {}, nothing is held; "
                                    "`rcptsyncctl resync` ends that",
                                    pinned_));
    return {};
  }
  if (meta_.generation == 0) {
    refuse_order(index,
                 "a first table cannot be approved: it waits until every source was read and the "
                 "guard's settings are met");
    return {};
  }
  const auto taken = take_removals(index, true);
  if (!taken) return taken.error();
  // Of a refusal, all that it still keeps, whatever is to become of that now.
  if (const auto* refusal = marks_->refusal(order.digest);
      refusal != nullptr && refusal->count > 0) {
    refusals_[order.digest] = index;
    return transaction_->each_refused([&](std::string_view address, const Digest& digest) {
      if (digest == order.digest) refused_.emplace_back(address);
      return true;
    });
  }
  if (*taken == 0)
    refuse_order(index,
                 fmt::format("{} names nothing that is held or was rejected; `rcptsyncctl status` "
                             "shows what is held now",
                             order.digest.brief()));
  return {};
}

Result<> CycleOrders::reject(std::size_t index) {
  const auto& order = orders_[index];
  if (pinned_ != 0) {
    refuse_order(index, fmt::format("the table is pinned to generation {}, nothing is held; "
                                    "`rcptsyncctl resync` ends that",
                                    pinned_));
    return {};
  }
  if (meta_.generation == 0) {
    refuse_order(index, "a first table cannot be rejected: it stays held by itself");
    return {};
  }
  if (const auto* refusal = marks_->refusal(order.digest);
      refusal != nullptr && refusal->count > 0) {
    refusals_.erase(order.digest);  // an approval before this order
    results_[index].message = "it was rejected before";
    results_[index].count = refusal->count;
    return {};
  }
  const auto taken = take_removals(index, false);
  if (!taken) return taken.error();
  if (*taken == 0)
    refuse_order(index,
                 fmt::format("{} names nothing that is held; `rcptsyncctl status` shows what "
                             "is held now",
                             order.digest.brief()));
  else
    marks_->add_refusal({order.digest, now_, order.by, 0});
  return {};
}

Result<std::uint64_t> CycleOrders::take_removals(std::size_t index, bool or_refused) {
  const auto& order = orders_[index];
  std::uint64_t taken = 0;
  if (order.removals.empty() || digest_of(order.removals) != order.digest) return taken;
  for (const auto& removal : order.removals) {
    bool known = marks_->held(removal.address, removal.reject) != nullptr;
    if (!known && or_refused) {
      const auto refused = marks_->refused(removal.address);
      if (!refused) return refused.error();
      known = refused->has_value();
    }
    if (!known) continue;
    words_.insert_or_assign(removal.address, Word{index, removal.reject});
    ++taken;
  }
  return taken;
}

bool CycleOrders::lets_go(std::string_view address, std::string_view reject,
                          const std::optional<Digest>& refused) {
  std::optional<std::size_t> by;
  const auto word = words_.find(address);
  if (word != words_.end() && word->second.reject == reject &&
      orders_[word->second.order].kind == Order::Kind::approve)
    by = word->second.order;
  else if (refused && refusals_.contains(*refused))
    by = refusals_.at(*refused);
  if (!by) return false;
  ++results_[*by].count;
  ++approved_;
  return true;
}

const Digest* CycleOrders::refuses(std::string_view address, std::string_view reject) {
  const auto word = words_.find(address);
  if (word == words_.end() || word->second.reject != reject) return nullptr;
  const auto& order = orders_[word->second.order];
  if (order.kind != Order::Kind::reject) return nullptr;
  ++results_[word->second.order].count;
  return &order.digest;
}

std::vector<std::string> CycleOrders::addresses() const {
  auto addresses = refused_;
  for (const auto& [address, word] : words_) addresses.push_back(address);
  return addresses;
}

// ---- rollback, resync

Result<> CycleOrders::roll_back(std::size_t index) {
  const auto generation = orders_[index].generation;
  const auto found = transaction_->generation(generation);
  if (!found) return found.error();
  if (generation == 0 || !*found) {
    refuse_order(index, fmt::format("generation {} is not kept; `rcptsyncctl history` lists those "
                                    "that are",
                                    generation));
    return {};
  }
  std::map<std::string, store::Change, std::less<>> changes;
  if (generation != meta_.generation) {
    auto net = store::net_changes(*transaction_, meta_.generation, generation);
    if (!net && net.error().code == Errc::not_found) {
      refuse_order(index, net.error().message);
      return {};
    }
    if (!net) return net.error();
    for (auto& change : *net) {
      auto address = change.address;
      changes.emplace(std::move(address), std::move(change));
    }
  }
  for (std::size_t i = 0; i < index; ++i)
    if (results_[i].ok) refuse_order(i, fmt::format("overtaken by a rollback to {}", generation));
  words_.clear();
  refusals_.clear();
  refused_.clear();
  rollback_ = std::move(changes);
  pinned_ = generation;
  ends_pin_ = false;
  return {};
}

void CycleOrders::end_pin(std::size_t index) {
  if (rollback_)
    for (std::size_t i = 0; i < index; ++i)
      if (results_[i].ok && orders_[i].kind == Order::Kind::rollback)
        refuse_order(i, "overtaken by a resync");
  rollback_.reset();
  ends_pin_ = meta_.pinned != 0;
  pinned_ = 0;
}

// ---- what to say

std::vector<OrderResult> CycleOrders::results(std::uint64_t generation) const {
  auto results = results_;
  for (std::size_t i = 0; i < results.size(); ++i) {
    auto& result = results[i];
    const auto& order = orders_[i];
    if (!result.ok || !result.message.empty()) continue;
    switch (order.kind) {
      case Order::Kind::approve: {
        const auto rest =
            order.removals.size() - std::min<std::size_t>(order.removals.size(), result.count);
        result.message = removals_text(result.count) + " let through";
        if (!refusals_.contains(order.digest) && rest > 0)
          result.message +=
              fmt::format(", {} of the set are no removals any more or were changed", rest);
        break;
      }
      case Order::Kind::reject:
        result.message = fmt::format(
            "{} rejected: these addresses stay until they are back or "
            "approved",
            removals_text(result.count));
        break;
      case Order::Kind::rollback:
        result.message = fmt::format(
            "the recipients of generation {} are in force as generation "
            "{}, until `rcptsyncctl resync`",
            order.generation, generation);
        break;
      default:
        result.message = ends_pin_ ? "the table follows its sources again"
                                   : "the table was not pinned; it follows its sources";
    }
  }
  return results;
}

}  // namespace rcptsync::service

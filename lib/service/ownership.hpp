// ownership — carries object changes into the store: records, who owns which address, and which
// addresses that touches.
//
// A first read changes all of a directory, so what is collected here is small for each address: its
// texts stay where they are in the read, and only what is to be found nowhere else is copied.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "base/result.hpp"
#include "recipient/rules.hpp"
#include "service/commit.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// Collects the ownership changes of one transaction, then writes them in key order, which LMDB
/// loads fastest.
class Ownership {
 public:
  Ownership(store::Transaction& transaction, const recipient::Rules& rules)
      : transaction_(transaction), rules_(rules) {}

  /// The object changes of one complete read, which must outlive this object. `configuration`: the
  /// source was not read with these settings before, so they may be what changed. `lost` becomes
  /// true if any address loses an owner by them.
  Result<> apply(store::SourceRecord& source, const sync::ObjectChanges& changes,
                 bool configuration, bool& lost);

  /// Judges every stored object of a source again: the rules are not those that it was judged by.
  Result<> judge_again(store::SourceId source);

  /// `always` and `static` become the objects of source 0.
  Result<> apply_configuration();

  /// Forgets all objects of a source that is no longer configured.
  Result<> forget(store::SourceId source);

  /// An address whose owners changed.
  struct Touched {
    std::string_view address;                  ///< lives as long as this object
    std::span<const store::OwnerView> owners;  ///< now, by source and key; only during the call
    bool configuration = false;                ///< a change of the configuration did it …
    bool data = false;                         ///< … or one in a source, or both
  };

  /// Writes the owners, and the index of values that the rules drop. Calls `visit` with every
  /// address whose owners changed, in order.
  Result<> finish(const std::function<Result<>(const Touched&)>& visit);

  /// By how much finish() changed the number of distinct addresses that the source owns.
  [[nodiscard]] std::int64_t recipients_gained(store::SourceId source) const;

  [[nodiscard]] bool wrote() const { return wrote_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::vector<DroppedValue> take_sample() { return std::move(sample_); }

 private:
  /// Pointers and lengths instead of views: there are millions of them.
  struct OwnerChange {
    const char* address_begin = nullptr;
    const char* key_begin = nullptr;
    const char* reject_begin = nullptr;
    std::uint32_t reject_size : 27 = 0;
    std::uint32_t kind : 3 = 0;
    std::uint32_t erase : 1 = 0;
    std::uint32_t configuration : 1 = 0;
    store::SourceId source = 0;
    std::uint8_t address_size = 0;
    std::uint8_t key_size = 0;

    [[nodiscard]] std::string_view address() const { return {address_begin, address_size}; }
    [[nodiscard]] std::string_view key() const { return {key_begin, key_size}; }
    [[nodiscard]] std::string_view reject() const { return {reject_begin, reject_size}; }
  };

  /// An address that an object owns, and what it says of it.
  struct Owned {
    std::string_view address;
    std::string_view reject;
    bool operator==(const Owned&) const = default;
  };
  /// Sorted by address, each once.
  using OwnedAddresses = std::vector<Owned>;

  static void unite(OwnedAddresses& addresses);
  static void owned_by(const store::ObjectRecord& record, OwnedAddresses& addresses);
  /// Judges the object and makes its record. `addresses`: what it owns, in texts that stay.
  void judge(const sync::ChangedObject& object, store::ObjectRecord& record,
             OwnedAddresses& addresses);
  [[nodiscard]] store::ObjectRecord judged_again(std::string_view key,
                                                 const store::ObjectRecord& before) const;
  [[nodiscard]] OwnerChange change_of(std::string_view address, store::SourceId source,
                                      std::string_view key, bool erase) const;
  void add_change(std::string_view address, store::SourceId source, std::string_view key,
                  recipient::ObjectClass kind, std::string_view reject, bool erase);
  /// An object before and after: what it owns, and its class.
  struct Holding {
    const OwnedAddresses& addresses;
    recipient::ObjectClass kind;
  };
  /// `key` and all of `after` must stay; `before` is copied where it is needed.
  void replace_owners(store::SourceId source, std::string_view key, const Holding& before,
                      const Holding& after);
  /// The same for the addresses that the rules drop. Null: no such object.
  void replace_mentions(store::SourceId source, std::string_view key,
                        const store::ObjectRecord* before, const store::ObjectRecord* after);
  Result<> write_mentions();
  void keep(OwnedAddresses& addresses);
  void note_dropped(const std::string& source, const store::ObjectRecord& record,
                    const store::ObjectRecord* before);
  Result<> erase_all(store::SourceId source);
  Result<> write_owners(std::string_view address, std::span<const OwnerChange* const> changes,
                        std::vector<store::OwnerView>& owners);

  store::Transaction& transaction_;
  const recipient::Rules& rules_;
  std::vector<OwnerChange> changes_;
  std::vector<OwnerChange> mentions_;  ///< to be put or erased
  std::vector<std::string_view> dropped_before_, dropped_after_;
  bool configuration_ = true;  ///< what is being collected comes from a change of that
  Arena texts_;
  std::map<store::SourceId, std::int64_t> gained_;
  bool wrote_ = false;
  bool lost_ = false;
  std::uint64_t dropped_ = 0;
  std::vector<DroppedValue> sample_;
};

}  // namespace rcptsync::service

// transaction — one LMDB transaction as the store's View and Transaction.
//
// A read hands it out as View, which has no way to change anything. Look-ups and changes of a table
// share one cursor, so runs of neighbouring keys find their page at once, and keys beyond the last
// one are appended, which fills pages whole: that makes a sorted load several times faster than a
// random one. Walks have a cursor of their own and may be nested.
//
// After a failed change nothing of the transaction can be committed; failure() says so whatever the
// body returned.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "store/database.hpp"
#include "store/store.hpp"

namespace rcptsync::store {

class LmdbTransaction final : public Transaction {
 public:
  /// Both must outlive this object; `transaction` is committed or aborted by the caller afterwards.
  LmdbTransaction(const Database& database, MDB_txn* transaction)
      : database_(database), transaction_(transaction) {}

  Result<Meta> meta() override;
  Result<std::vector<SourceRecord>> sources() override;
  Result<std::optional<ObjectRecord>> object(SourceId source, std::string_view key) override;
  Result<> each_object(
      SourceId source,
      const std::function<bool(std::string_view key, const ObjectRecord&)>& visit) override;
  Result<> each_hash(
      SourceId source,
      const std::function<bool(std::string_view key, const StoredHash&)>& visit) override;
  Result<std::vector<Owner>> owners(std::string_view address) override;
  Result<> each_owned(
      const std::function<Result<bool>(std::string_view address, const std::vector<Owner>& owners)>&
          visit) override;
  Result<std::optional<RecipientRecord>> recipient(std::string_view address) override;
  Result<> each_recipient(
      const std::function<bool(std::string_view address, const RecipientRecord&)>& visit) override;
  Result<std::optional<DomainRecord>> domain(std::string_view domain) override;
  Result<std::vector<std::pair<std::string, DomainRecord>>> domains() override;
  Result<std::optional<Hold>> hold() override;
  Result<> each_held(
      const std::function<bool(std::string_view address, const HeldRecord&)>& visit) override;
  Result<std::optional<HeldRecord>> held(std::string_view address) override;
  Result<std::optional<Digest>> refused(std::string_view address) override;
  Result<> each_refused(
      const std::function<bool(std::string_view address, const Digest& digest)>& visit) override;
  Result<std::vector<Refusal>> refusals() override;
  Result<std::optional<WallTime>> grace(std::string_view address) override;
  Result<> each_grace(
      const std::function<bool(std::string_view address, WallTime gone)>& visit) override;
  Result<> each_pending(const std::function<bool(const Change&)>& visit) override;
  Result<std::vector<std::pair<SourceId, std::string>>> mentions(std::string_view address) override;
  Result<std::vector<Generation>> generations(std::size_t limit) override;
  Result<std::optional<Generation>> generation(std::uint64_t number) override;
  Result<> each_change(std::uint64_t generation,
                       const std::function<bool(const Change&)>& visit) override;
  Result<std::vector<TargetRecord>> targets() override;
  Result<std::optional<TargetRecord>> target(std::string_view name) override;
  Result<> each_loss(std::string_view target,
                     const std::function<bool(std::string_view address)>& visit) override;

  Result<> put_meta(const Meta& meta) override;
  Result<> put_source(const SourceRecord& source) override;
  Result<> erase_source(SourceId id) override;
  Result<> put_object(SourceId source, std::string_view key, const ObjectRecord& record) override;
  Result<> erase_object(SourceId source, std::string_view key) override;
  Result<> put_owner(std::string_view address, const OwnerView& owner) override;
  Result<> erase_owner(std::string_view address, SourceId source, std::string_view key) override;
  Result<> put_recipient(std::string_view address, const RecipientRecord& record) override;
  Result<> erase_recipient(std::string_view address) override;
  Result<> put_domain(std::string_view domain, const DomainRecord& record) override;
  Result<> put_held(std::string_view address, const HeldRecord& record) override;
  Result<> erase_held(std::string_view address) override;
  Result<> put_refused(std::string_view address, const Digest& digest) override;
  Result<> erase_refused(std::string_view address) override;
  Result<> put_refusal(const Refusal& refusal) override;
  Result<> erase_refusal(const Digest& digest) override;
  Result<> put_grace(std::string_view address, WallTime gone) override;
  Result<> erase_grace(std::string_view address) override;
  Result<> put_pending(const Change& change) override;
  Result<> erase_pending(std::string_view address) override;
  Result<> clear_pending() override;
  Result<> put_mention(std::string_view address, SourceId source, std::string_view key) override;
  Result<> erase_mention(std::string_view address, SourceId source, std::string_view key) override;
  Result<> put_hold(const std::optional<Hold>& hold) override;
  Result<> put_generation_from(const Generation& generation, const ChangeStream& changes) override;
  Result<> put_digest(std::uint64_t generation, const Digest& digest) override;
  Result<> erase_generations_before(std::uint64_t first) override;
  Result<> put_target(const TargetRecord& target) override;
  Result<> erase_target(std::string_view name) override;
  Result<> put_losses(std::string_view target, std::span<const std::string> addresses) override;

  /// The first change that LMDB refused.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  /// It was refused because the map is full: grow it and run the body again.
  [[nodiscard]] bool map_is_full() const { return map_is_full_; }
  /// How many records were put or erased. Each may have changed some pages.
  [[nodiscard]] std::size_t changes() const { return changes_; }

 private:
  /// The table's cursor for look-ups and changes.
  Result<MDB_cursor*> cursor(Table table);

  /// The table's greatest_, looked up if need be. An error is LMDB's.
  Result<const std::string*> greatest(Table table);
  /// A key of the tables of owners and mentions: address, source and object key.
  struct OwnerKey {
    std::string_view address;
    SourceId source = 0;
    std::string_view key;
  };
  Result<OwnerKey> decode_owner_key(Table table, std::string_view key) const;
  /// Reads one record of the table of owners: the address, and the owner behind it.
  Result<std::string_view> decode_owner(std::string_view key, std::string_view bytes,
                                        Owner& owner) const;

  /// The unsealed record under `key`, or nothing.
  Result<std::optional<std::string_view>> get(Table table, std::string_view key);
  template <class Record>
  Result<std::optional<Record>> find(Table table, std::string_view key);
  /// The record of a name, of which what cannot be stored has none.
  template <class Record>
  Result<std::optional<Record>> find_named(Table table, std::string_view name);

  /// Calls visit(key, record) → Result<bool> for all keys that begin with `prefix`, in order; false
  /// stops.
  template <class Visit>
  Result<> walk(Table table, std::string_view prefix, const Visit& visit) const;
  /// The same for a whole table, with records that are decoded: visit(key, record) → bool.
  template <class Record, class Visit>
  Result<> walk_records(Table table, const Visit& visit) const;
  /// The key and the unsealed record that an LMDB cursor stands on.
  Result<std::string_view> unsealed(Table table, const MDB_val& key, const MDB_val& value) const;

  /// How many pieces the changes of a generation take; 0 for one that is not there.
  Result<std::uint32_t> pieces_of(std::uint64_t generation);

  /// Seals `record` and stores it.
  Result<> put(Table table, std::string_view key, std::string& record);
  template <class Record>
  Result<> store(Table table, std::string_view key, const Record& record);
  Result<> erase(Table table, std::string_view key);
  template <class Record>
  Result<> store_named(Table table, std::string_view name, const Record& record);
  Result<> erase_named(Table table, std::string_view name);
  /// Erases every key from `begin`, and below `end` unless that is empty.
  Result<> erase_range(Table table, std::string_view begin, std::string_view end);
  Result<> erase_changes(std::uint64_t generation);
  Result<> failed(int code, Table table);

  const Database& database_;
  MDB_txn* transaction_;
  std::array<lmdb::Cursor, table_names.size()> cursors_;
  /// No key of the table is greater than this one; nothing: not known yet.
  std::array<std::optional<std::string>, table_names.size()> greatest_;
  std::string buffer_;  ///< the record being written
  std::optional<Error> failure_;
  bool map_is_full_ = false;
  std::size_t changes_ = 0;
};

}  // namespace rcptsync::store

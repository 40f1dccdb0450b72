#include "store/upgrade.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "store/codec.hpp"
#include "store/environment.hpp"
#include "store/schema_1.hpp"
#include "store/transaction.hpp"

namespace rcptsync::store {
namespace {

// Bytes of records that are read before they are written in their new form.
constexpr std::size_t batch_size = 4UL << 20;

class Upgrade {
 public:
  Upgrade(const Database& database, MDB_txn* transaction)
      : database_(database), transaction_(transaction), records_(database, transaction) {}

  Result<> run() {
    if (auto done = owners(); !done) return done;
    if (auto done = mentions(); !done) return done;
    if (auto done = recipients(); !done) return done;
    if (auto done = sources(); !done) return done;
    if (auto done = rewrite<HeldRecord>(Table::held); !done) return done;
    if (auto done = rewrite<TargetRecord>(Table::targets); !done) return done;
    if (auto done = changes(); !done) return done;
    return meta();
  }

  [[nodiscard]] bool map_is_full() const { return map_is_full_ || records_.map_is_full(); }

 private:
  Error damaged(Table table, std::string_view key) const {
    return database_.damaged(table, key, "the record is not what schema 1 wrote");
  }

  Result<> put(Table table, std::string_view key, std::string& record) {
    codec::seal(key, record);
    auto name = lmdb::value(key);
    auto value = lmdb::value(record);
    const int code = mdb_put(transaction_, database_.handle(table), &name, &value, 0);
    map_is_full_ = map_is_full_ || code == MDB_MAP_FULL;
    if (code != 0) return database_.error(code, table);
    return {};
  }

  /// Calls take(key, record) → Result<bool> for the records of a table from `begin` on; false ends.
  template <class Take>
  Result<> walk(Table table, std::string_view begin, const Take& take) const {
    MDB_cursor* opened = nullptr;
    int code = mdb_cursor_open(transaction_, database_.handle(table), &opened);
    if (code != 0) return database_.error(code, table);
    const lmdb::Cursor cursor(opened);
    auto key = lmdb::value(begin);
    MDB_val value;
    code = mdb_cursor_get(opened, &key, &value, begin.empty() ? MDB_FIRST : MDB_SET_RANGE);
    for (; code == 0; code = mdb_cursor_get(opened, &key, &value, MDB_NEXT)) {
      const auto record = codec::unseal(lmdb::view(key), lmdb::view(value));
      if (!record) return damaged(table, lmdb::view(key));
      const Result<bool> go_on = take(lmdb::view(key), *record);
      if (!go_on) return go_on.error();
      if (!*go_on) return {};
    }
    if (code != MDB_NOTFOUND) return database_.error(code, table);
    return {};
  }

  /// Replaces every record of a table by what change(key, record, new record) → Result<> makes of
  /// it. A table must not be changed while it is walked: so a batch is read, then written.
  template <class Change>
  Result<> rewrite_with(Table table, const Change& change) {
    std::vector<std::pair<std::string, std::string>> batch;
    std::string begin;
    do {
      batch.clear();
      std::size_t size = 0;
      const auto walked =
          walk(table, begin, [&](std::string_view key, std::string_view record) -> Result<bool> {
            auto& made = batch.emplace_back(key, std::string());
            if (auto done = change(key, record, made.second); !done) return done.error();
            size += key.size() + made.second.size();
            return size < batch_size;
          });
      if (!walked) return walked;
      for (auto& [key, record] : batch)
        if (auto done = put(table, key, record); !done) return done;
      if (!batch.empty()) begin = batch.back().first + '\0';
    } while (!batch.empty());
    return {};
  }

  /// The same where nothing but the form changes.
  template <class Record>
  Result<> rewrite(Table table) {
    return rewrite_with(
        table, [&](std::string_view key, std::string_view record, std::string& made) -> Result<> {
          Record value;
          if (!schema_1::decode(record, value)) return damaged(table, key);
          codec::encode(value, made);
          return {};
        });
  }

  /// The class of an owner is that of its object.
  Result<> owners() {
    return rewrite_with(
        Table::owners,
        [&](std::string_view key, std::string_view record, std::string& made) -> Result<> {
          OwnerView owner;
          const auto end = key.find('\0');
          if (end == std::string_view::npos || key.size() - end < 3 ||
              !schema_1::decode(record, owner))
            return damaged(Table::owners, key);
          owner.source = static_cast<SourceId>(big_endian_number(key.substr(end + 1, 2)));
          const auto object = records_.object(owner.source, key.substr(end + 3));
          if (!object) return object.error();
          if (*object) owner.kind = (*object)->kind;
          codec::encode(owner, made);
          return {};
        });
  }

  Result<> mentions() {
    ObjectRecord object;
    return walk(
        Table::objects, {}, [&](std::string_view key, std::string_view record) -> Result<bool> {
          if (key.size() < 3 || !codec::decode(record, object)) return damaged(Table::objects, key);
          const auto source = static_cast<SourceId>(big_endian_number(key.substr(0, 2)));
          for (const auto& value : object.values) {
            if (value.drop == recipient::Drop::kept || value.canonical.empty()) continue;
            if (auto put = records_.put_mention(value.canonical, source, key.substr(2)); !put)
              return put.error();
          }
          return true;
        });
  }

  /// A row that nobody wants as it is any more, because it is held, is nobody's.
  Result<> recipients() {
    return rewrite_with(
        Table::recipients,
        [&](std::string_view address, std::string_view record, std::string& made) -> Result<> {
          RecipientRecord row;
          if (!schema_1::decode(record, row)) return damaged(Table::recipients, address);
          const auto owners = records_.owners(address);
          if (!owners) return owners.error();
          for (const auto& owner : *owners) {
            if (owner.source == configuration_source || owner.reject != row.reject) continue;
            row.source = owner.source;
            row.kind = owner.kind;
            break;
          }
          if (row.reject.empty()) {
            ++accepted_[row.source];
            ++classes_[static_cast<std::size_t>(row.kind)];
          }
          codec::encode(row, made);
          return {};
        });
  }

  Result<> sources() {
    return rewrite_with(
        Table::sources,
        [&](std::string_view key, std::string_view record, std::string& made) -> Result<> {
          SourceRecord source;
          if (!schema_1::decode(record, source)) return damaged(Table::sources, key);
          const auto counted = accepted_.find(static_cast<SourceId>(big_endian_number(key)));
          if (counted != accepted_.end()) source.accepted = counted->second;
          codec::encode(source, made);
          return {};
        });
  }

  Result<> changes() {
    // Only of those is it ever asked what they said before.
    std::map<std::string, std::optional<std::string>, std::less<>> texts;
    const auto walked =
        walk(Table::changes, {}, [&](std::string_view key, std::string_view piece) -> Result<bool> {
          const bool whole = schema_1::decode_changes(piece, [&](const ChangeView& change) {
            if (change.operation == Operation::changed)
              texts.try_emplace(std::string(change.address));
          });
          if (!whole) return damaged(Table::changes, key);
          return true;
        });
    if (!walked) return walked;

    std::uint64_t first_kept = 0;
    codec::ChangesWriter writer;
    const auto rewritten = rewrite_with(
        Table::changes,
        [&](std::string_view key, std::string_view piece, std::string& made) -> Result<> {
          const auto generation = big_endian_number(key.substr(0, 8));
          writer.clear();
          const bool whole = schema_1::decode_changes(piece, [&](ChangeView change) {
            const auto known = texts.find(change.address);
            if (known == texts.end()) return writer.add(change);
            if (change.operation == Operation::changed && !known->second) first_kept = generation;
            if (change.operation == Operation::changed && known->second)
              change.before = *known->second;
            writer.add(change);
            known->second = std::string(change.reject);
          });
          if (!whole || key.size() != 12) return damaged(Table::changes, key);
          made = writer.bytes();
          return {};
        });
    if (!rewritten) return rewritten;
    return records_.erase_generations_before(first_kept);
  }

  /// The record under a key of the table `meta`, decoded; nothing if it is not there.
  template <class Record>
  Result<std::optional<Record>> find(std::string_view key) const {
    auto name = lmdb::value(key);
    MDB_val value;
    const int code = mdb_get(transaction_, database_.handle(Table::meta), &name, &value);
    if (code == MDB_NOTFOUND) return std::nullopt;
    if (code != 0) return database_.error(code, Table::meta);
    const auto record = codec::unseal(key, lmdb::view(value));
    std::optional<Record> found(std::in_place);
    if (!record || !schema_1::decode(*record, *found)) return damaged(Table::meta, key);
    return found;
  }

  Result<> meta() {
    const auto hold = find<Hold>(hold_key);
    if (!hold) return hold.error();
    if (*hold)
      if (auto put = records_.put_hold(*hold); !put) return put;

    auto meta = find<Meta>(meta_key);
    if (!meta) return meta.error();
    if (!*meta) return damaged(Table::meta, meta_key);
    (*meta)->schema = schema_number;
    (*meta)->classes = classes_;
    std::string record;
    codec::encode(**meta, record);
    return put(Table::meta, meta_key, record);
  }

  const Database& database_;
  MDB_txn* transaction_;
  LmdbTransaction records_;
  bool map_is_full_ = false;
  std::map<SourceId, std::uint64_t> accepted_;
  std::array<std::uint64_t, class_count> classes_{};
};

}  // namespace

Result<> upgrade_from_schema_1(Database& database, std::uint64_t max_map) {
  auto* const environment = database.environment.get();
  const auto failed = [&](int code) {
    return lmdb::error(
        code, fmt::format("cannot bring {} to schema {}", database.file.native(), schema_number));
  };
  for (;;) {
    MDB_txn* begun = nullptr;
    int code = mdb_txn_begin(environment, nullptr, 0, &begun);
    if (code != 0) return failed(code);
    lmdb::Transaction transaction(begun);
    bool map_is_full = false;
    {
      if (auto opened = open_tables(database, begun, 0, Table::targets); !opened) return opened;
      if (auto made = open_tables(database, begun, MDB_CREATE); !made) return made;
      Upgrade upgrade(database, begun);
      const auto done = upgrade.run();
      map_is_full = upgrade.map_is_full();
      if (!done && !map_is_full) return done;
    }
    if (!map_is_full) {
      const auto format = format_record();
      auto key = lmdb::value(format_key);
      auto value = lmdb::value(format);
      code = mdb_put(begun, database.handle(Table::meta), &key, &value, 0);
      if (code == 0) code = mdb_txn_commit(transaction.release());
      if (code == 0) return {};
      if (code != MDB_MAP_FULL) return failed(code);
    }
    transaction.reset();
    MDB_envinfo info{};
    mdb_env_info(environment, &info);
    if (info.me_mapsize >= max_map) return failed(MDB_MAP_FULL);
    code = mdb_env_set_mapsize(environment, std::min<std::uint64_t>(2 * info.me_mapsize, max_map));
    if (code != 0) return failed(code);
  }
}

}  // namespace rcptsync::store

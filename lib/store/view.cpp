// The reading half of LmdbTransaction.
#include <cstring>

#include "store/codec.hpp"
#include "store/transaction.hpp"

namespace rcptsync::store {
namespace {

constexpr std::string_view not_as_written = "the record is not what was written";
constexpr std::string_view impossible_key = "the key is not one that was written";

}  // namespace

Result<MDB_cursor*> LmdbTransaction::cursor(Table table) {
  auto& cursor = cursors_[static_cast<std::size_t>(table)];
  if (!cursor) {
    MDB_cursor* opened = nullptr;
    if (const int code = mdb_cursor_open(transaction_, database_.handle(table), &opened); code != 0)
      return database_.error(code, table);
    cursor.reset(opened);
  }
  return cursor.get();
}

Result<std::string_view> LmdbTransaction::unsealed(Table table, const MDB_val& key,
                                                   const MDB_val& value) const {
  if (value.mv_size > max_record + codec::seal_size)
    return database_.damaged(table, lmdb::view(key),
                             "the record is longer than any that is written");
  const auto record = codec::unseal(lmdb::view(key), lmdb::view(value));
  if (!record) return database_.damaged(table, lmdb::view(key), not_as_written);
  return *record;
}

Result<const std::string*> LmdbTransaction::greatest(Table table) {
  auto& greatest = greatest_[static_cast<std::size_t>(table)];
  if (!greatest) {
    const auto at = cursor(table);
    if (!at) return at.error();
    MDB_val last;
    MDB_val ignored;
    const int code = mdb_cursor_get(*at, &last, &ignored, MDB_LAST);
    if (code != 0 && code != MDB_NOTFOUND) return database_.error(code, table);
    greatest = code == 0 ? std::string(lmdb::view(last)) : std::string();
  }
  return &*greatest;
}

Result<std::optional<std::string_view>> LmdbTransaction::get(Table table, std::string_view key) {
  const auto last = greatest(table);
  if (!last) return last.error();
  if (key > **last) return std::nullopt;  // a sorted load asks for nothing else
  const auto at = cursor(table);
  if (!at) return at.error();
  auto wanted = lmdb::value(key);
  MDB_val value;
  const int code = mdb_cursor_get(*at, &wanted, &value, MDB_SET);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) return database_.error(code, table);
  const auto record = unsealed(table, lmdb::value(key), value);
  if (!record) return record.error();
  return *record;
}

template <class Record>
Result<std::optional<Record>> LmdbTransaction::find(Table table, std::string_view key) {
  const auto bytes = get(table, key);
  if (!bytes) return bytes.error();
  if (!*bytes) return std::nullopt;
  std::optional<Record> record(std::in_place);
  if (!codec::decode(**bytes, *record)) return database_.damaged(table, key, not_as_written);
  return record;
}

template <class Visit>
Result<> LmdbTransaction::walk(Table table, std::string_view prefix, const Visit& visit) const {
  MDB_cursor* opened = nullptr;
  if (const int code = mdb_cursor_open(transaction_, database_.handle(table), &opened); code != 0)
    return database_.error(code, table);
  const lmdb::Cursor cursor(opened);

  auto key = lmdb::value(prefix);
  MDB_val value;
  int code = mdb_cursor_get(opened, &key, &value, prefix.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (; code == 0; code = mdb_cursor_get(opened, &key, &value, MDB_NEXT)) {
    // A copy: what the visitor changes in other tables must not move the key under its hands.
    std::array<char, 511> copy;
    if (key.mv_size > copy.size()) return database_.damaged(table, lmdb::view(key), impossible_key);
    std::memcpy(copy.data(), key.mv_data, key.mv_size);
    const std::string_view name(copy.data(), key.mv_size);
    if (name.substr(0, prefix.size()) != prefix) return {};

    const auto record = unsealed(table, key, value);
    if (!record) return record.error();
    const Result<bool> go_on = visit(name, *record);
    if (!go_on) return go_on.error();
    if (!*go_on) return {};
  }
  if (code != MDB_NOTFOUND) return database_.error(code, table);
  return {};
}

template <class Record>
Result<std::optional<Record>> LmdbTransaction::find_named(Table table, std::string_view name) {
  const auto key = name_key(name);
  if (!key) return std::nullopt;
  return find<Record>(table, key->view());
}

template <class Record, class Visit>
Result<> LmdbTransaction::walk_records(Table table, const Visit& visit) const {
  Record record;
  return walk(table, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
    if (!codec::decode(bytes, record)) return database_.damaged(table, key, not_as_written);
    return visit(key, std::as_const(record));
  });
}

Result<Meta> LmdbTransaction::meta() {
  auto found = find<Meta>(Table::meta, meta_key);
  if (!found) return found.error();
  if (!*found) return database_.damaged(Table::meta, meta_key, "the record is not there");
  return **found;
}

Result<std::vector<SourceRecord>> LmdbTransaction::sources() {
  std::vector<SourceRecord> all;
  auto walked = walk(Table::sources, {}, [&](std::string_view key, std::string_view bytes) {
    auto& source = all.emplace_back();
    if (key.size() != 2)
      return Result<bool>(database_.damaged(Table::sources, key, impossible_key));
    source.id = static_cast<SourceId>(big_endian_number(key));
    if (!codec::decode(bytes, source))
      return Result<bool>(database_.damaged(Table::sources, key, not_as_written));
    return Result<bool>(true);
  });
  if (!walked) return walked.error();
  return all;
}

Result<std::optional<ObjectRecord>> LmdbTransaction::object(SourceId source, std::string_view key) {
  const auto at = object_key(source, key);
  if (!at) return std::nullopt;  // what cannot be stored is not there
  return find<ObjectRecord>(Table::objects, at->view());
}

Result<> LmdbTransaction::each_object(
    SourceId source, const std::function<bool(std::string_view, const ObjectRecord&)>& visit) {
  ObjectRecord record;
  return walk(Table::objects, source_key(source).view(),
              [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                if (!codec::decode(bytes, record))
                  return database_.damaged(Table::objects, key, not_as_written);
                return visit(key.substr(2), record);
              });
}

Result<> LmdbTransaction::each_hash(
    SourceId source, const std::function<bool(std::string_view, const StoredHash&)>& visit) {
  StoredHash hash;
  return walk(Table::objects, source_key(source).view(),
              [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                if (!codec::decode_hash(bytes, hash))
                  return database_.damaged(Table::objects, key, not_as_written);
                return visit(key.substr(2), hash);
              });
}

Result<LmdbTransaction::OwnerKey> LmdbTransaction::decode_owner_key(Table table,
                                                                    std::string_view key) const {
  const auto end = key.find('\0');
  if (end == std::string_view::npos || key.size() - end < 3)
    return database_.damaged(table, key, impossible_key);
  return OwnerKey{key.substr(0, end),
                  static_cast<SourceId>(big_endian_number(key.substr(end + 1, 2))),
                  key.substr(end + 3)};
}

Result<std::string_view> LmdbTransaction::decode_owner(std::string_view key, std::string_view bytes,
                                                       Owner& owner) const {
  const auto parts = decode_owner_key(Table::owners, key);
  if (!parts) return parts.error();
  OwnerView record;
  if (!codec::decode(bytes, record)) return database_.damaged(Table::owners, key, not_as_written);
  owner.source = parts->source;
  owner.key = parts->key;
  owner.kind = record.kind;
  owner.reject = record.reject;
  return parts->address;
}

Result<std::vector<Owner>> LmdbTransaction::owners(std::string_view address) {
  std::vector<Owner> all;
  const auto prefix = name_prefix(address);
  if (!prefix) return all;
  const auto last = greatest(Table::owners);
  if (!last) return last.error();
  if (prefix->view() > **last) return all;
  auto walked = walk(Table::owners, prefix->view(),
                     [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                       const auto decoded = decode_owner(key, bytes, all.emplace_back());
                       if (!decoded) return decoded.error();
                       return true;
                     });
  if (!walked) return walked.error();
  return all;
}

Result<> LmdbTransaction::each_owned(
    const std::function<Result<bool>(std::string_view, const std::vector<Owner>&)>& visit) {
  std::string address;
  std::vector<Owner> owners;
  bool stopped = false;
  Owner owner;
  auto walked =
      walk(Table::owners, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
        const auto owned = decode_owner(key, bytes, owner);
        if (!owned) return owned.error();
        if (*owned != address) {
          if (!owners.empty()) {
            const auto go_on = visit(address, owners);
            if (!go_on) return go_on.error();
            stopped = !*go_on;
            if (stopped) return false;
          }
          address = *owned;
          owners.clear();
        }
        owners.push_back(owner);
        return true;
      });
  if (!walked || stopped || owners.empty()) return walked;
  const auto visited = visit(address, owners);
  if (!visited) return visited.error();
  return {};
}

Result<std::optional<RecipientRecord>> LmdbTransaction::recipient(std::string_view address) {
  return find_named<RecipientRecord>(Table::recipients, address);
}

Result<> LmdbTransaction::each_recipient(
    const std::function<bool(std::string_view, const RecipientRecord&)>& visit) {
  return walk_records<RecipientRecord>(Table::recipients, visit);
}

Result<std::optional<DomainRecord>> LmdbTransaction::domain(std::string_view domain) {
  return find_named<DomainRecord>(Table::domains, domain);
}

Result<std::vector<std::pair<std::string, DomainRecord>>> LmdbTransaction::domains() {
  std::vector<std::pair<std::string, DomainRecord>> all;
  auto walked = walk_records<DomainRecord>(Table::domains,
                                           [&](std::string_view name, const DomainRecord& record) {
                                             all.emplace_back(name, record);
                                             return true;
                                           });
  if (!walked) return walked.error();
  return all;
}

Result<std::optional<Hold>> LmdbTransaction::hold() {
  return find<Hold>(Table::meta, hold_key);
}

Result<> LmdbTransaction::each_held(
    const std::function<bool(std::string_view, const HeldRecord&)>& visit) {
  return walk_records<HeldRecord>(Table::held, visit);
}

Result<std::optional<HeldRecord>> LmdbTransaction::held(std::string_view address) {
  return find_named<HeldRecord>(Table::held, address);
}

Result<std::optional<Digest>> LmdbTransaction::refused(std::string_view address) {
  return find_named<Digest>(Table::refused, address);
}

Result<> LmdbTransaction::each_refused(
    const std::function<bool(std::string_view, const Digest&)>& visit) {
  return walk_records<Digest>(Table::refused, visit);
}

Result<std::vector<Refusal>> LmdbTransaction::refusals() {
  std::vector<Refusal> all;
  auto walked =
      walk(Table::refusals, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
        auto& refusal = all.emplace_back();
        if (key.size() != refusal.digest.bytes.size())
          return database_.damaged(Table::refusals, key, impossible_key);
        std::memcpy(refusal.digest.bytes.data(), key.data(), key.size());
        if (!codec::decode(bytes, refusal))
          return database_.damaged(Table::refusals, key, not_as_written);
        return true;
      });
  if (!walked) return walked.error();
  return all;
}

Result<std::optional<WallTime>> LmdbTransaction::grace(std::string_view address) {
  return find_named<WallTime>(Table::grace, address);
}

Result<> LmdbTransaction::each_grace(const std::function<bool(std::string_view, WallTime)>& visit) {
  return walk_records<WallTime>(Table::grace, visit);
}

Result<> LmdbTransaction::each_pending(const std::function<bool(const Change&)>& visit) {
  Change change;
  return walk_records<ChangeView>(Table::pending,
                                  [&](std::string_view address, const ChangeView& record) {
                                    change.operation = record.operation;
                                    change.address = address;
                                    change.reject = record.reject;
                                    change.before = record.before;
                                    change.source = record.source;
                                    change.kind = record.kind;
                                    return visit(change);
                                  });
}

Result<std::vector<std::pair<SourceId, std::string>>> LmdbTransaction::mentions(
    std::string_view address) {
  std::vector<std::pair<SourceId, std::string>> all;
  const auto prefix = name_prefix(address);
  if (!prefix) return all;
  auto walked = walk(Table::mentions, prefix->view(),
                     [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                       if (codec::Nothing record; !codec::decode(bytes, record))
                         return database_.damaged(Table::mentions, key, not_as_written);
                       const auto parts = decode_owner_key(Table::mentions, key);
                       if (!parts) return parts.error();
                       all.emplace_back(parts->source, parts->key);
                       return true;
                     });
  if (!walked) return walked.error();
  return all;
}

Result<std::vector<Generation>> LmdbTransaction::generations(std::size_t limit) {
  std::vector<Generation> newest_first;
  const auto at = cursor(Table::generations);
  if (!at) return at.error();
  MDB_val key;
  MDB_val value;
  int code = 0;
  while (newest_first.size() < limit) {
    code = mdb_cursor_get(*at, &key, &value, newest_first.empty() ? MDB_LAST : MDB_PREV);
    if (code != 0) break;
    const auto bytes = unsealed(Table::generations, key, value);
    if (!bytes) return bytes.error();
    codec::StoredGeneration stored;
    if (key.mv_size != 8)
      return database_.damaged(Table::generations, lmdb::view(key), impossible_key);
    if (!codec::decode(*bytes, stored))
      return database_.damaged(Table::generations, lmdb::view(key), not_as_written);
    stored.generation.number = big_endian_number(lmdb::view(key));
    newest_first.push_back(stored.generation);
  }
  if (code != 0 && code != MDB_NOTFOUND) return database_.error(code, Table::generations);
  return newest_first;
}

Result<std::optional<Generation>> LmdbTransaction::generation(std::uint64_t number) {
  auto stored = find<codec::StoredGeneration>(Table::generations, generation_key(number).view());
  if (!stored) return stored.error();
  if (!*stored) return std::nullopt;
  (*stored)->generation.number = number;
  return (*stored)->generation;
}

Result<std::uint32_t> LmdbTransaction::pieces_of(std::uint64_t generation) {
  const auto stored =
      find<codec::StoredGeneration>(Table::generations, generation_key(generation).view());
  if (!stored) return stored.error();
  return *stored ? (*stored)->pieces : 0;
}

Result<> LmdbTransaction::each_change(std::uint64_t generation,
                                      const std::function<bool(const Change&)>& visit) {
  const auto expected = pieces_of(generation);
  if (!expected) return expected.error();

  const auto prefix = generation_key(generation);
  const auto missing = [&] {
    return database_.damaged(Table::changes, prefix.view(), "a piece of the changes is missing");
  };
  std::uint32_t pieces = 0;
  bool stopped = false;
  auto walked = walk(Table::changes, prefix.view(),
                     [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                       if (key != change_key(generation, pieces).view()) return missing();
                       ++pieces;
                       if (!codec::decode_changes(bytes, visit, stopped))
                         return database_.damaged(Table::changes, key, not_as_written);
                       return !stopped;
                     });
  if (!walked) return walked;
  if (!stopped && pieces != *expected) return missing();
  return {};
}

Result<std::vector<TargetRecord>> LmdbTransaction::targets() {
  std::vector<TargetRecord> all;
  auto walked =
      walk(Table::targets, {}, [&](std::string_view name, std::string_view bytes) -> Result<bool> {
        auto& target = all.emplace_back();
        target.name = name;
        if (!codec::decode(bytes, target))
          return database_.damaged(Table::targets, name, not_as_written);
        return true;
      });
  if (!walked) return walked.error();
  return all;
}

Result<std::optional<TargetRecord>> LmdbTransaction::target(std::string_view name) {
  auto found = find_named<TargetRecord>(Table::targets, name);
  if (found && *found) (*found)->name = name;
  return found;
}

Result<> LmdbTransaction::each_loss(std::string_view target,
                                    const std::function<bool(std::string_view)>& visit) {
  const auto prefix = name_prefix(target);
  if (!prefix) return {};
  return walk(Table::losses, prefix->view(),
              [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                if (codec::Nothing record; !codec::decode(bytes, record))
                  return database_.damaged(Table::losses, key, not_as_written);
                return visit(key.substr(prefix->view().size()));
              });
}

}  // namespace rcptsync::store

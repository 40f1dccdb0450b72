// The writing half of LmdbTransaction.
#include "store/transaction.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"
#include "store/codec.hpp"

namespace rcptsync::store {
namespace {

// A piece of changes is closed once it is this long. Large enough that a walk is fast, small enough
// that LMDB finds room for it in one run of pages.
constexpr std::size_t piece_size = 60000;

}  // namespace

Result<> LmdbTransaction::failed(int code, Table table) {
  const auto error = database_.error(code, table);
  map_is_full_ = map_is_full_ || code == MDB_MAP_FULL;
  if (!failure_) failure_ = error;
  return error;
}

Result<> LmdbTransaction::put(Table table, std::string_view key, std::string& record) {
  if (record.size() > max_record)
    return Error{
        Errc::limit,
        fmt::format("the record of {} in table {} has {} bytes, but at most {} can be stored",
                    escape(key, 80), name_of(table), record.size(), max_record)};
  codec::seal(key, record);
  ++changes_;

  const auto at = cursor(table);
  if (!at) return at.error();
  const auto last = greatest(table);
  if (!last) return last.error();
  const bool append = key > **last;
  auto name = lmdb::value(key);
  auto value = lmdb::value(record);
  if (const int code = mdb_cursor_put(*at, &name, &value, append ? MDB_APPEND : 0); code != 0)
    return failed(code, table);
  if (append) greatest_[static_cast<std::size_t>(table)]->assign(key);
  return {};
}

template <class Record>
Result<> LmdbTransaction::store(Table table, std::string_view key, const Record& record) {
  codec::encode(record, buffer_);
  return put(table, key, buffer_);
}

Result<> LmdbTransaction::erase(Table table, std::string_view key) {
  const auto at = cursor(table);
  if (!at) return at.error();
  auto name = lmdb::value(key);
  MDB_val ignored;
  int code = mdb_cursor_get(*at, &name, &ignored, MDB_SET);
  if (code == MDB_NOTFOUND) return {};
  ++changes_;
  if (code == 0) code = mdb_cursor_del(*at, 0);
  if (code != 0) return failed(code, table);
  return {};
}

template <class Record>
Result<> LmdbTransaction::store_named(Table table, std::string_view name, const Record& record) {
  const auto key = name_key(name);
  if (!key) return key.error();
  return store(table, key->view(), record);
}

Result<> LmdbTransaction::erase_named(Table table, std::string_view name) {
  const auto key = name_key(name);
  if (!key) return key.error();
  return erase(table, key->view());
}

Result<> LmdbTransaction::erase_range(Table table, std::string_view begin, std::string_view end) {
  const auto at = cursor(table);
  if (!at) return at.error();
  for (;;) {
    auto key = lmdb::value(begin);
    MDB_val ignored;
    int code = mdb_cursor_get(*at, &key, &ignored, begin.empty() ? MDB_FIRST : MDB_SET_RANGE);
    if (code == MDB_NOTFOUND || (code == 0 && !end.empty() && lmdb::view(key) >= end)) return {};
    ++changes_;
    if (code == 0) code = mdb_cursor_del(*at, 0);
    if (code != 0) return failed(code, table);
  }
}

Result<> LmdbTransaction::put_meta(const Meta& record) {
  const auto present = meta();
  if (!present) return present.error();
  if (record.schema != present->schema || record.state_id != present->state_id ||
      record.hash_seed != present->hash_seed)
    return Error{Errc::internal,
                 "the schema, the name and the seed of a state are given to it when it is made and "
                 "never change"};
  return store(Table::meta, meta_key, record);
}

Result<> LmdbTransaction::put_source(const SourceRecord& source) {
  if (source.id == configuration_source)
    return Error{Errc::invalid, fmt::format("source {}: number 0 is the configuration itself",
                                            escape(source.name, 80))};
  return store(Table::sources, source_key(source.id).view(), source);
}

Result<> LmdbTransaction::erase_source(SourceId id) {
  return erase(Table::sources, source_key(id).view());
}

Result<> LmdbTransaction::put_object(SourceId source, std::string_view key,
                                     const ObjectRecord& record) {
  const auto at = object_key(source, key);
  if (!at) return at.error();
  return store(Table::objects, at->view(), record);
}

Result<> LmdbTransaction::erase_object(SourceId source, std::string_view key) {
  const auto at = object_key(source, key);
  if (!at) return at.error();
  return erase(Table::objects, at->view());
}

Result<> LmdbTransaction::put_owner(std::string_view address, const OwnerView& owner) {
  const auto at = owner_key(address, owner.source, owner.key);
  if (!at) return at.error();
  return store(Table::owners, at->view(), owner);
}

Result<> LmdbTransaction::erase_owner(std::string_view address, SourceId source,
                                      std::string_view key) {
  const auto at = owner_key(address, source, key);
  if (!at) return at.error();
  return erase(Table::owners, at->view());
}

Result<> LmdbTransaction::put_recipient(std::string_view address, const RecipientRecord& record) {
  return store_named(Table::recipients, address, record);
}

Result<> LmdbTransaction::erase_recipient(std::string_view address) {
  return erase_named(Table::recipients, address);
}

Result<> LmdbTransaction::put_domain(std::string_view domain, const DomainRecord& record) {
  if (record.accepted == 0 && record.supplied == 0) return erase_named(Table::domains, domain);
  return store_named(Table::domains, domain, record);
}

Result<> LmdbTransaction::put_held(std::string_view address, const HeldRecord& record) {
  return store_named(Table::held, address, record);
}

Result<> LmdbTransaction::erase_held(std::string_view address) {
  return erase_named(Table::held, address);
}

Result<> LmdbTransaction::put_refused(std::string_view address, const Digest& digest) {
  return store_named(Table::refused, address, digest);
}

Result<> LmdbTransaction::erase_refused(std::string_view address) {
  return erase_named(Table::refused, address);
}

Result<> LmdbTransaction::put_refusal(const Refusal& refusal) {
  return store(Table::refusals, digest_key(refusal.digest).view(), refusal);
}

Result<> LmdbTransaction::erase_refusal(const Digest& digest) {
  return erase(Table::refusals, digest_key(digest).view());
}

Result<> LmdbTransaction::put_grace(std::string_view address, WallTime gone) {
  return store_named(Table::grace, address, gone);
}

Result<> LmdbTransaction::erase_grace(std::string_view address) {
  return erase_named(Table::grace, address);
}

Result<> LmdbTransaction::put_pending(const Change& change) {
  return store_named(Table::pending, change.address, view_of(change));
}

Result<> LmdbTransaction::erase_pending(std::string_view address) {
  return erase_named(Table::pending, address);
}

Result<> LmdbTransaction::clear_pending() {
  return erase_range(Table::pending, {}, {});
}

Result<> LmdbTransaction::put_mention(std::string_view address, SourceId source,
                                      std::string_view key) {
  const auto at = owner_key(address, source, key);
  if (!at) return at.error();
  return store(Table::mentions, at->view(), codec::Nothing{});
}

Result<> LmdbTransaction::erase_mention(std::string_view address, SourceId source,
                                        std::string_view key) {
  const auto at = owner_key(address, source, key);
  if (!at) return at.error();
  return erase(Table::mentions, at->view());
}

Result<> LmdbTransaction::put_hold(const std::optional<Hold>& hold) {
  if (!hold) return erase(Table::meta, hold_key);
  return store(Table::meta, hold_key, *hold);
}

Result<> LmdbTransaction::erase_changes(std::uint64_t generation) {
  const auto pieces = pieces_of(generation);
  if (!pieces) return pieces.error();
  for (std::uint32_t piece = 0; piece < *pieces; ++piece)
    if (auto erased = erase(Table::changes, change_key(generation, piece).view()); !erased)
      return erased;
  return {};
}

Result<> LmdbTransaction::put_generation_from(const Generation& generation,
                                              const ChangeStream& changes) {
  if (auto erased = erase_changes(generation.number); !erased) return erased;

  codec::StoredGeneration stored{generation, 0};
  codec::ChangesWriter piece;
  const auto close_piece = [&]() -> Result<> {
    buffer_ = piece.bytes();
    piece.clear();
    return put(Table::changes, change_key(generation.number, stored.pieces++).view(), buffer_);
  };
  Result<> done;
  std::string before;
  changes([&](const ChangeView& change) {
    if (!done) return;
    if (change.address <= before) {
      done = Error{Errc::internal, fmt::format("the changes of generation {} are not sorted at {}",
                                               generation.number, escape(change.address, 80))};
      return;
    }
    if (change.address.size() > max_name) {
      done = name_key(change.address).error();
      return;
    }
    before.assign(change.address);
    piece.add(change);
    if (piece.bytes().size() >= piece_size) done = close_piece();
  });
  if (!done) return done;
  if (!piece.empty())
    if (auto put = close_piece(); !put) return put;
  return store(Table::generations, generation_key(generation.number).view(), stored);
}

Result<> LmdbTransaction::put_digest(std::uint64_t generation, const Digest& digest) {
  const auto present = this->generation(generation);
  if (!present) return present.error();
  if (!*present)
    return Error{Errc::internal,
                 fmt::format("there is no generation {} to note a digest of", generation)};
  const auto pieces = pieces_of(generation);
  if (!pieces) return pieces.error();
  codec::StoredGeneration stored{**present, *pieces};
  stored.generation.digest = digest;
  return store(Table::generations, generation_key(generation).view(), stored);
}

Result<> LmdbTransaction::erase_generations_before(std::uint64_t first) {
  const auto end = generation_key(first);
  if (auto erased = erase_range(Table::changes, {}, end.view()); !erased) return erased;
  return erase_range(Table::generations, {}, end.view());
}

Result<> LmdbTransaction::put_target(const TargetRecord& target) {
  return store_named(Table::targets, target.name, target);
}

Result<> LmdbTransaction::erase_target(std::string_view name) {
  return erase_named(Table::targets, name);
}

Result<> LmdbTransaction::put_losses(std::string_view target,
                                     std::span<const std::string> addresses) {
  const auto begin = name_prefix(target);
  if (!begin) return begin.error();
  // The next octet after the NUL that ends the name.
  const auto end = Key{}.text(target).text("\1");
  if (auto erased = erase_range(Table::losses, begin->view(), end.view()); !erased) return erased;
  for (const auto& address : addresses) {
    const auto at = loss_key(target, address);
    if (!at) return at.error();
    if (auto put = store(Table::losses, at->view(), codec::Nothing{}); !put) return put;
  }
  return {};
}

}  // namespace rcptsync::store

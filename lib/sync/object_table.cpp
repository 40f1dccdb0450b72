#include "sync/object_table.hpp"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/handle.hpp"

namespace rcptsync::sync {
namespace {

/// Hashes fields one after the other, each with its length before it, so that no two lists of
/// fields are the same bytes. Small ones stay on the stack: setting up XXH3's streaming state costs
/// more than hashing an address.
class FieldHash {
 public:
  explicit FieldHash(std::uint64_t seed) : seed_(seed) {}

  void add(std::string_view field) {
    add(std::uint64_t{field.size()});
    append(field.data(), field.size());
  }
  void add(std::uint64_t number) { append(&number, sizeof number); }

  ObjectHash finish() {
    const auto hash = [this] {
      if (!state_) return XXH3_128bits_withSeed(buffer_.data(), used_, seed_);
      XXH3_128bits_update(state_.get(), buffer_.data(), used_);
      return XXH3_128bits_digest(state_.get());
    }();
    return {.low = hash.low64, .high = hash.high64};
  }

 private:
  void append(const void* bytes, std::size_t size) {
    if (size > buffer_.size() - used_) {
      if (!state_) {
        state_.reset(XXH3_createState());
        if (!state_) throw std::bad_alloc();
        XXH3_128bits_reset_withSeed(state_.get(), seed_);
      }
      XXH3_128bits_update(state_.get(), buffer_.data(), std::exchange(used_, 0));
      if (size > buffer_.size()) {
        XXH3_128bits_update(state_.get(), bytes, size);
        return;
      }
    }
    // An empty view may have no address, which memcpy must not be given.
    if (size > 0) std::memcpy(buffer_.data() + used_, bytes, size);
    used_ += size;
  }

  std::uint64_t seed_;
  std::array<char, 512> buffer_;
  std::size_t used_ = 0;
  Handle<XXH3_state_t, XXH3_freeState> state_;
};

}  // namespace

ObjectHash ObjectHasher::operator()(const recipient::Object& object) const {
  // A sum does not depend on the order, and unlike an exclusive or it does not lose a value that
  // stands there twice.
  ObjectHash sum;
  for (const auto& value : object.values) {
    FieldHash fields(seed_);
    fields.add(value.attribute);
    fields.add(value.text);
    fields.add(value.reject);
    const auto hash = fields.finish();
    sum.low += hash.low;
    sum.high += hash.high + (sum.low < hash.low ? 1 : 0);
  }
  FieldHash fields(seed_);
  fields.add(object.key);
  fields.add(object.origin);
  fields.add(static_cast<std::uint64_t>(object.kind));
  fields.add(static_cast<std::uint64_t>(object.drop));
  fields.add(object.values.size());
  fields.add(sum.low);
  fields.add(sum.high);
  return fields.finish();
}

// --- KnownObjects

std::uint32_t KnownObjects::hash_key(std::string_view key) const {
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(key.data(), key.size(), seed_));
}

std::string_view KnownObjects::key_at(std::size_t position) const {
  const auto& key = entries_[position].key;
  if (!in_arena_[position]) return {key.data(), key.size()};
  const auto [offset, length] = std::bit_cast<std::array<std::uint64_t, 2>>(key);
  return std::string_view(arena_).substr(offset, length);
}

const ObjectHash& KnownObjects::hash_at(std::size_t position) const {
  return entries_[position].hash;
}

/// The slot of the key, or the free one at which its search ends. The index is never full.
std::size_t KnownObjects::find_slot(std::string_view key, std::uint32_t key_hash) const {
  const auto mask = index_.size() - 1;
  auto at = key_hash & mask;
  while (index_[at].position != Slot::free &&
         (index_[at].key_hash != key_hash || key_at(index_[at].position) != key))
    at = (at + 1) & mask;
  return at;
}

std::size_t KnownObjects::find(std::string_view key) const {
  if (index_.empty()) return npos;
  const auto position = index_[find_slot(key, hash_key(key))].position;
  return position == Slot::free ? npos : position;
}

void KnownObjects::place(Slot slot) {
  const auto mask = index_.size() - 1;
  auto at = slot.key_hash & mask;
  while (index_[at].position != Slot::free) at = (at + 1) & mask;
  index_[at] = slot;
}

void KnownObjects::resize_index(std::size_t slots) {
  auto old = std::exchange(index_, std::vector<Slot>(slots));
  for (const auto& slot : old)
    if (slot.position != Slot::free) place(slot);
}

void KnownObjects::reserve(std::size_t objects) {
  if (objects <= entries_.size()) return;
  entries_.reserve(objects);
  in_arena_.reserve(objects);
  const auto slots = std::bit_ceil(std::max<std::size_t>(16, objects + objects / 7 + 1));
  if (slots > index_.size()) resize_index(slots);
}

void KnownObjects::put(std::string_view key, const ObjectHash& hash) {
  const auto key_hash = hash_key(key);
  if (!index_.empty())
    if (const auto position = index_[find_slot(key, key_hash)].position; position != Slot::free) {
      entries_[position].hash = hash;
      return;
    }
  if (entries_.size() == Slot::free)
    throw std::length_error("a source has more objects than the table of known objects can hold");
  // By a quarter, not by doubling: the slack counts at a million objects.
  if (entries_.size() == entries_.capacity())
    entries_.reserve(entries_.size() + entries_.size() / 4 + 16);
  // At most seven of eight slots are taken.
  if (entries_.size() + 1 > index_.size() / 8 * 7)
    resize_index(std::max<std::size_t>(16, index_.size() * 2));

  Entry entry{.key = {}, .hash = hash};
  const bool in_arena = key.size() != inline_key;
  if (in_arena) {
    entry.key =
        std::bit_cast<decltype(entry.key)>(std::array<std::uint64_t, 2>{arena_.size(), key.size()});
    arena_ += key;
  } else {
    std::memcpy(entry.key.data(), key.data(), inline_key);
  }
  const auto position = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back(entry);
  in_arena_.push_back(in_arena);
  place({.key_hash = key_hash, .position = position});
}

/// Closes the gap that a freed slot leaves in the runs of linear probing, so that searches still
/// end at the first free slot and no tombstones pile up.
void KnownObjects::free_slot(std::size_t hole) {
  const auto mask = index_.size() - 1;
  for (auto at = (hole + 1) & mask; index_[at].position != Slot::free; at = (at + 1) & mask) {
    const auto home = index_[at].key_hash & mask;
    // It may move back only if the hole is not before its home.
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      index_[hole] = index_[at];
      hole = at;
    }
  }
  index_[hole] = {};
}

void KnownObjects::erase(std::string_view key) {
  if (index_.empty()) return;
  const auto slot = find_slot(key, hash_key(key));
  const auto position = index_[slot].position;
  if (position == Slot::free) return;
  if (in_arena_[position]) arena_dead_ += key.size();
  free_slot(slot);

  // The last entry takes the place, so that there are no gaps.
  const auto last = entries_.size() - 1;
  if (position != last) {
    const auto last_key = key_at(last);
    index_[find_slot(last_key, hash_key(last_key))].position = position;
    entries_[position] = entries_[last];
    in_arena_[position] = in_arena_[last];
  }
  entries_.pop_back();
  in_arena_.pop_back();
  if (arena_dead_ > arena_.size() / 2) compact_arena();
}

void KnownObjects::compact_arena() {
  std::string compact;
  compact.reserve(arena_.size() - arena_dead_);
  for (std::size_t position = 0; position < entries_.size(); ++position) {
    if (!in_arena_[position]) continue;
    const auto key = key_at(position);
    const std::array<std::uint64_t, 2> where{compact.size(), key.size()};
    compact += key;
    entries_[position].key = std::bit_cast<std::array<char, inline_key>>(where);
  }
  arena_ = std::move(compact);
  arena_dead_ = 0;
}

std::size_t KnownObjects::memory() const {
  return entries_.capacity() * sizeof(Entry) + in_arena_.capacity() / 8 +
         index_.capacity() * sizeof(Slot) + arena_.capacity();
}

// --- ReadSession

ReadSession::ReadSession(const KnownObjects& known, ObjectHasher hasher)
    : known_(known),
      hasher_(hasher),
      seen_(known.positions()),
      removed_(known.positions()),
      places_(hasher.seed()) {}

void ReadSession::upsert(const recipient::Object& object) {
  const auto hash = hasher_(object);
  const auto position = known_.find(object.key);
  if (position != KnownObjects::npos) {
    const bool again = seen_[position];
    seen_.set(position);
    removed_.clear(position);
    if (known_.hash_at(position) == hash) {
      if (again) withdraw(object.key);
      return;
    }
  }
  if (const auto place = places_.find(object.key); place != KnownObjects::npos) {
    changed_.replace(places_.hash_at(place).low, object, hash);
    return;
  }
  places_.put(object.key, {.low = changed_.size(), .high = 0});
  changed_.add(object, hash);
}

bool ReadSession::present(std::string_view key) {
  const auto position = known_.find(key);
  if (position == KnownObjects::npos) return false;
  // A change that this read named before it stays.
  seen_.set(position);
  removed_.clear(position);
  return true;
}

void ReadSession::remove(std::string_view key) {
  if (const auto position = known_.find(key); position != KnownObjects::npos) {
    seen_.clear(position);
    removed_.set(position);
  }
  withdraw(key);
}

/// A change of the key that was collected before is not true any more.
void ReadSession::withdraw(std::string_view key) {
  if (const auto place = places_.find(key); place != KnownObjects::npos)
    changed_.forget(places_.hash_at(place).low);
}

void ReadSession::restart() {
  seen_ = Marks(known_.positions());
  removed_ = Marks(known_.positions());
  changed_ = {};
  places_ = KnownObjects(hasher_.seed());
}

ObjectChanges ReadSession::finish(bool unseen_gone) {
  ObjectChanges changes;
  for (std::size_t index = 0; index < seen_.words(); ++index) {
    changes.seen += static_cast<std::uint64_t>(std::popcount(seen_.word(index)));
    auto gone = unseen_gone ? ~seen_.word(index) : removed_.word(index);
    for (; gone != 0; gone &= gone - 1) {
      const auto position = index * 64 + static_cast<std::size_t>(std::countr_zero(gone));
      if (position < known_.positions()) changes.removals.emplace_back(known_.key_at(position));
    }
  }
  std::ranges::sort(changes.removals);

  changes.upserts = std::exchange(changed_, {});
  changes.upserts.sort();
  for (std::size_t place = 0; place < changes.upserts.size(); ++place)
    if (known_.find(changes.upserts.key(place)) == KnownObjects::npos) ++changes.seen;
  restart();
  return changes;
}

}  // namespace rcptsync::sync

// object_table — finds out, while a source is being read, which of its objects differ from the last
// read.
//
// Each known object is one hash, so an unchanged object costs one hash and one look-up and no
// memory. The hash is keyed with a secret of the state, covers everything that the rules or `why`
// can see, and does not depend on the order of the values, which a directory may change at will.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "recipient/object.hpp"
#include "sync/changed_objects.hpp"

namespace rcptsync::sync {

/// 128-bit XXH3 with a secret seed.
class ObjectHasher {
 public:
  explicit ObjectHasher(std::uint64_t seed) : seed_(seed) {}
  [[nodiscard]] ObjectHash operator()(const recipient::Object& object) const;
  [[nodiscard]] std::uint64_t seed() const { return seed_; }

 private:
  std::uint64_t seed_;
};

/// key → hash of every object of one source as it stands in the store. Compact: 32 bytes an object
/// with a 16-byte key, and 9 to 18 for the index. Other keys cost their length more.
class KnownObjects {
 public:
  /// `seed` keeps whoever chooses the keys from choosing ones that collide.
  explicit KnownObjects(std::uint64_t seed = 0) : seed_(seed) {}

  /// Makes room for so many objects in all.
  void reserve(std::size_t objects);
  /// Adds the key or replaces its hash. Throws std::length_error beyond 2^32 - 1 objects.
  void put(std::string_view key, const ObjectHash& hash);
  /// Forgets the key if it is there.
  void erase(std::string_view key);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  /// Position of the key for `seen` marks (stable until the next put or erase), or npos.
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
  [[nodiscard]] std::size_t find(std::string_view key) const;
  /// Every find() is below this, and every position below this holds an object.
  [[nodiscard]] std::size_t positions() const { return entries_.size(); }
  [[nodiscard]] const ObjectHash& hash_at(std::size_t position) const;
  /// Valid until the next put or erase.
  [[nodiscard]] std::string_view key_at(std::size_t position) const;
  /// What it takes of memory, in bytes.
  [[nodiscard]] std::size_t memory() const;

 private:
  static constexpr std::size_t inline_key = 16;  ///< objectGUID, entryUUID

  struct Entry {
    /// The key itself, or where it stands in the arena: offset and length, eight bytes each.
    std::array<char, inline_key> key;
    ObjectHash hash;
  };

  /// One place of the index: open addressing, linear probing.
  struct Slot {
    static constexpr std::uint32_t free = UINT32_MAX;
    std::uint32_t key_hash = 0;
    std::uint32_t position = free;
  };

  [[nodiscard]] std::uint32_t hash_key(std::string_view key) const;
  [[nodiscard]] std::size_t find_slot(std::string_view key, std::uint32_t key_hash) const;
  void place(Slot slot);
  void free_slot(std::size_t hole);
  void resize_index(std::size_t slots);
  void compact_arena();

  std::uint64_t seed_;
  std::vector<Entry> entries_;  ///< without gaps
  std::vector<bool> in_arena_;  ///< by position
  std::vector<Slot> index_;     ///< a power of two, or empty
  std::string arena_;           ///< keys of other lengths, one after the other
  std::size_t arena_dead_ = 0;  ///< bytes of erased ones
};

/// One bit for each position. All of a million are looked through in some microseconds, so that a
/// read of ten objects does not cost what a read of all costs.
class Marks {
 public:
  explicit Marks(std::size_t positions) : words_((positions + 63) / 64) {}
  [[nodiscard]] bool operator[](std::size_t position) const {
    return (words_[position / 64] >> position % 64 & 1) != 0;
  }
  void set(std::size_t position) { words_[position / 64] |= std::uint64_t{1} << position % 64; }
  void clear(std::size_t position) {
    words_[position / 64] &= ~(std::uint64_t{1} << position % 64);
  }
  /// 64 positions at once, from 64 × index on.
  [[nodiscard]] std::uint64_t word(std::size_t index) const { return words_[index]; }
  [[nodiscard]] std::size_t words() const { return words_.size(); }

 private:
  std::vector<std::uint64_t> words_;
};

/// What a complete read changes. Sorted by key, each key once.
struct ObjectChanges {
  ChangedObjects upserts;             ///< new, or not as they were
  std::vector<std::string> removals;  ///< keys, all of them known
  std::uint64_t seen = 0;             ///< objects that the read named as being there
  [[nodiscard]] bool empty() const { return upserts.empty() && removals.empty(); }
};

/// Collects the differences of one read. `known` must not change while it lives. An unchanged
/// object costs a hash, a look-up and one bit, and allocates nothing; memory grows with the number
/// of distinct changed objects, however often a source repeats itself.
class ReadSession final : public recipient::ObjectSink {
 public:
  ReadSession(const KnownObjects& known, ObjectHasher hasher);
  void upsert(const recipient::Object& object) override;
  bool present(std::string_view key) override;
  /// In a full read too: the object counts as not seen, unless it is named again.
  void remove(std::string_view key) override;
  void restart() override;

  /// `unseen_gone`: objects that were not seen are removals. The session is as after restart().
  ObjectChanges finish(bool unseen_gone);

 private:
  void withdraw(std::string_view key);

  const KnownObjects& known_;
  ObjectHasher hasher_;
  Marks seen_;              ///< by position in known_: named as being there
  Marks removed_;           ///< by position in known_: named as gone
  ChangedObjects changed_;  ///< new and changed; an empty place where that was taken back
  KnownObjects places_;     ///< key → place in changed_, kept in the low half of the hash
};

}  // namespace rcptsync::sync

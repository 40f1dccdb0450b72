// changed_objects — the new and changed objects of one read, packed: a first read changes all of
// them, so each is one row of bytes in an arena instead of a tree of strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "recipient/object.hpp"

namespace rcptsync::sync {

struct ObjectHash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const ObjectHash&) const = default;
};

/// One of them, unpacked. Its texts live as long as the ChangedObjects that it comes from.
struct ChangedObject {
  std::string_view key;
  std::string_view origin;
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  recipient::Drop drop = recipient::Drop::kept;
  ObjectHash hash;
  std::vector<recipient::Value> values;

  [[nodiscard]] recipient::Object object() const { return {key, origin, kind, drop, values}; }
};

class ChangedObjects {
 public:
  /// Appends the object.
  void add(const recipient::Object& object, const ObjectHash& hash);
  /// Puts another in the place of one. The memory of those that were replaced stays bounded.
  void replace(std::size_t place, const recipient::Object& object, const ObjectHash& hash);
  /// Leaves the place empty: no other function may look at it then, but replace() and sort().
  void forget(std::size_t place);
  /// Drops the empty places and sorts by key. Each key must be there once.
  void sort();

  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::string_view key(std::size_t place) const;
  [[nodiscard]] ObjectHash hash(std::size_t place) const;
  [[nodiscard]] ChangedObject operator[](std::size_t place) const;
  /// operator[] into memory that is used again.
  void unpack(std::size_t place, ChangedObject& out) const;

  /// Calls go through operator[]: the objects are made while they are looked at.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = ChangedObject;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = ChangedObject;
    Iterator(const ChangedObjects& all, std::size_t place) : all_(&all), place_(place) {}
    ChangedObject operator*() const { return (*all_)[place_]; }
    Iterator& operator++() {
      ++place_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return place_ == other.place_; }

   private:
    const ChangedObjects* all_;
    std::size_t place_;
  };
  [[nodiscard]] Iterator begin() const { return {*this, 0}; }
  [[nodiscard]] Iterator end() const { return {*this, size()}; }

  /// What it takes of memory, in bytes.
  [[nodiscard]] std::size_t memory() const;

 private:
  const char* pack(const recipient::Object& object, const ObjectHash& hash);
  std::uint32_t attribute_number(std::string_view name);
  void abandon(std::size_t place);

  Arena arena_;
  std::vector<const char*> rows_;        ///< null: empty
  std::vector<std::string> attributes_;  ///< names that many values share, by number
  std::string packed_;                   ///< the row being made
  std::size_t dead_ = 0;                 ///< bytes of rows that were replaced or forgotten
};

}  // namespace rcptsync::sync

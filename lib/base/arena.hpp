// arena — keeps many short texts for as long as one piece of work takes: a few bytes for each
// instead of an allocation, and all of them go together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace rcptsync {

class Arena {
 public:
  Arena() = default;
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = default;

  /// Room for so many bytes; it stays where it is until the arena goes.
  char* allocate(std::size_t size) {
    if (size > left_) add_block(size);
    char* const room = next_;
    next_ += size;
    left_ -= size;
    return room;
  }

  /// A copy of the text that lives as long as the arena.
  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    char* const copy = allocate(text.size());
    std::memcpy(copy, text.data(), text.size());
    return {copy, text.size()};
  }

  /// What it takes of memory, in bytes.
  [[nodiscard]] std::size_t memory() const { return memory_; }

 private:
  // The first blocks are small: most pieces of work have little to keep.
  static constexpr std::size_t smallest = std::size_t{1} << 12;
  static constexpr std::size_t largest = std::size_t{1} << 18;

  void add_block(std::size_t size) {
    size = std::max(size, std::clamp(memory_, smallest, largest));
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    next_ = blocks_.back().get();
    left_ = size;
    memory_ += size;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t memory_ = 0;
};

}  // namespace rcptsync

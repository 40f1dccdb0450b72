// plural — numbers in messages: `1 source`, `2 sources`.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace rcptsync {

/// The word for so many things: `one` for one, else `many`.
inline std::string_view plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return count == 1 ? one : many;
}

/// The number with its word: counted(2, "source") is `2 sources`. `many` where an s does not do:
/// counted(2, "entry", "entries").
inline std::string counted(std::uint64_t count, std::string_view one, std::string_view many = {}) {
  if (count == 1 || many.empty()) return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
  return fmt::format("{} {}", count, many);
}

}  // namespace rcptsync

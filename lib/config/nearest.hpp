// nearest — what a person who mistyped a word most likely meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace rcptsync::config {

/// The word of `known` that `written` can be turned into with the fewest changes (insert, remove,
/// replace or swap neighbours), if these are at most a third of its letters; else empty.
std::string_view nearest(std::string_view written, std::span<const std::string_view> known);

/// `a`, `a or b`, `a, b or c`.
std::string either(std::span<const std::string_view> words);

}  // namespace rcptsync::config

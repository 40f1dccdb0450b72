// scalar — the small grammars of single values: durations, shares, counts, names, chosen words.
//
// Pure functions of the text; the Error's message says what is wrong and what to write instead.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::config {

inline constexpr Seconds minute{60};
inline constexpr Seconds hour{3600};
inline constexpr Seconds day{86400};

/// `30s`, `5m`, `2h`, `1d`: one whole number and one unit, from `least` to `most`.
Result<Seconds> parse_duration(std::string_view text, Seconds least, Seconds most);

/// The shortest way to write it: `90s`, `2h`.
std::string write_duration(Seconds duration);

/// `5`, `2.5` or `10%`: 0 to 100.
Result<double> parse_percent(std::string_view text);

/// Decimal digits, from `least` to `most`.
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most);

/// `true` or `false` as YAML 1.2 writes them.
Result<bool> parse_boolean(std::string_view text);

/// 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or a digit: what a source, a
/// target or a credential may be called.
Result<std::string> parse_name(std::string_view text);

/// The index of `text` in `words`.
Result<std::size_t> parse_choice(std::string_view text, std::span<const std::string_view> words);

}  // namespace rcptsync::config

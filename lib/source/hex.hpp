// hex — bytes as lower-case hexadecimal digits, and back.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

namespace rcptsync::source {

inline std::string to_hex(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes)
    fmt::format_to(std::back_inserter(text), "{:02x}", static_cast<unsigned char>(byte));
  return text;
}

/// Exactly what to_hex() gives; anything else is nothing.
inline std::optional<std::string> from_hex(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (text.size() % 2 != 0) return {};
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = digits.find(text[i]);
    const auto low = digits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return {};
    bytes.push_back(static_cast<char>(high * digits.size() + low));
  }
  return bytes;
}

}  // namespace rcptsync::source

#include "base/escape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace rcptsync {
namespace {

// The length of the well-formed UTF-8 sequence at the start of `bytes`, 0 if there is none.
// Table 3-7 of the Unicode standard.
std::size_t sequence_length(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const auto tail = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xbf) {
    return i < bytes.size() && at(i) >= low && at(i) <= high;
  };
  const std::uint8_t first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const std::uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
    const std::uint8_t high = first == 0xed ? 0x9f : 0xbf;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const std::uint8_t low = first == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

// Characters that are well-formed but would let a value rewrite or hide the line it is shown in:
// C1 controls, bidirectional controls, line and paragraph separators, zero-width characters, BOM.
bool deceives(std::string_view sequence) {
  if (sequence.size() == 2)
    return sequence[0] == '\xc2' && static_cast<std::uint8_t>(sequence[1]) < 0xa0;
  if (sequence.size() != 3) return false;
  const auto code = (static_cast<std::uint8_t>(sequence[0]) & 15U) << 12 |
                    (static_cast<std::uint8_t>(sequence[1]) & 63U) << 6 |
                    (static_cast<std::uint8_t>(sequence[2]) & 63U);
  return (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

}  // namespace

std::string escape(std::string_view bytes, std::size_t limit) {
  std::string out;
  const auto shown = bytes.substr(0, limit);
  for (std::size_t i = 0; i < shown.size();) {
    const auto length = sequence_length(shown.substr(i));
    const char c = shown[i];
    if (length > 1 && !deceives(shown.substr(i, length))) {
      out += shown.substr(i, length);
    } else if (length > 1) {
      for (const char byte : shown.substr(i, length))
        out += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(byte));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (length == 1 && c >= ' ' && c != '\x7f') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(c));
    }
    i += std::max<std::size_t>(length, 1);
  }
  if (bytes.size() > limit) out += fmt::format("…({} bytes)", bytes.size());
  return out;
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto length = sequence_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool ascii_equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace rcptsync

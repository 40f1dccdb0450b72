#include "source/encoding.hpp"

#include <array>
#include <cstdint>

namespace rcptsync::source {
namespace {

using config::Encoding;

constexpr std::string_view utf8_mark = "\xef\xbb\xbf";
constexpr std::string_view little_endian_mark = "\xff\xfe";
constexpr std::string_view big_endian_mark = "\xfe\xff";

// What code page 1252 has at 0x80 to 0x9f; the rest is ISO 8859-1. The five that it leaves free are
// the control characters of that number, as every browser reads them.
constexpr std::array<std::uint16_t, 32> windows_1252{
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
    0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

void append(std::string& text, std::uint32_t c) {
  const auto put = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

// A surrogate without its partner becomes U+FFFD, which no address can hold.
Result<std::string> from_utf16(std::string_view bytes, bool little_endian) {
  if (bytes.size() % 2 != 0)
    return Error{Errc::damaged,
                 "the file is UTF-16 and ends in the middle of a character: it is "
                 "cut; export it again"};
  const auto unit = [&](std::size_t i) -> std::uint32_t {
    const auto first = static_cast<std::uint8_t>(bytes[i]);
    const auto second = static_cast<std::uint8_t>(bytes[i + 1]);
    return static_cast<std::uint32_t>(little_endian ? first | second << 8 : first << 8 | second);
  };
  const auto is_low = [](std::uint32_t c) { return c >= 0xdc00 && c <= 0xdfff; };
  std::string text;
  text.reserve(bytes.size() / 2 + bytes.size() / 16);
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    std::uint32_t c = unit(i);
    if (c >= 0xd800 && c <= 0xdbff && i + 2 < bytes.size() && is_low(unit(i + 2))) {
      c = 0x10000 + ((c - 0xd800) << 10) + (unit(i + 2) - 0xdc00);
      i += 2;
    } else if (c >= 0xd800 && c <= 0xdfff) {
      c = 0xfffd;
    }
    append(text, c);
  }
  return text;
}

Result<std::string> decode(std::string bytes, Encoding encoding) {
  const std::string_view view = bytes;
  if (view.starts_with(utf8_mark)) return bytes.substr(utf8_mark.size());
  if (view.starts_with(little_endian_mark)) return from_utf16(view.substr(2), true);
  if (view.starts_with(big_endian_mark)) return from_utf16(view.substr(2), false);
  if (encoding == Encoding::utf_16) return from_utf16(view, true);
  if (encoding == Encoding::windows_1252) return from_windows_1252(view);
  return bytes;
}

// Where two files were joined, the mark of the second one begins a line and belongs to nothing.
std::string without_inner_marks(std::string text) {
  const auto mark = '\n' + std::string(utf8_mark);
  auto at = text.find(mark);
  if (at == std::string::npos) return text;
  std::string clean;
  clean.reserve(text.size());
  std::size_t from = 0;
  for (; at != std::string::npos; at = text.find(mark, from)) {
    clean.append(text, from, at + 1 - from);
    from = at + mark.size();
  }
  return clean.append(text, from);
}

}  // namespace

std::string from_windows_1252(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 16);
  for (const char byte : bytes) {
    const auto c = static_cast<std::uint8_t>(byte);
    append(text, c >= 0x80 && c < 0xa0 ? windows_1252[c - 0x80u] : c);
  }
  return text;
}

Result<std::string> decode_text(std::string bytes, Encoding encoding) {
  auto text = decode(std::move(bytes), encoding);
  if (!text) return text;
  if (text->ends_with('\x1a')) text->pop_back();
  if (const auto nul = text->find('\0'); nul != std::string::npos)
    return Error{Errc::damaged,
                 "the file holds NUL characters: it is no text file, or damaged, or UTF-16 without "
                 "a byte order mark (then write encoding: utf-16)"};
  return without_inner_marks(std::move(*text));
}

}  // namespace rcptsync::source

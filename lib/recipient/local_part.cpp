#include "recipient/local_part.hpp"

#include <algorithm>
#include <optional>

#include "base/escape.hpp"
#include "recipient/unicode.hpp"

namespace rcptsync::recipient {
namespace {

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

bool is_dot_string(std::string_view content) {
  char before = '.';
  for (const char c : content) {
    if (c == '.' ? before == '.' : is_ascii(c) && !is_atext(c)) return false;
    before = c;
  }
  return before != '.';
}

// The content of a quoted string without its quotes and backslashes; nothing if it is none.
std::optional<std::string> unquote(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::nullopt;
  std::string content;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '"') return std::nullopt;
    // A quoted pair is a backslash and one printable ASCII character (RFC 5321, quoted-pairSMTP).
    if (text[i] == '\\' && (++i + 1 >= text.size() || !is_ascii(text[i]))) return std::nullopt;
    content += text[i];
  }
  return content;
}

std::string quote(std::string_view content) {
  std::string text = "\"";
  for (const char c : content) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  text += '"';
  return text;
}

}  // namespace

bool is_atext(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

std::size_t local_part_end(std::string_view text) {
  if (text.empty() || text.front() != '"') return text.find('@');
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return text.find('@', i);
  }
  return text.rfind('@');  // never closed: a bad local part, not a missing '@'
}

LocalPart canonical_local_part(std::string_view text) {
  std::string content;
  if (!text.empty() && text.front() == '"') {
    auto unquoted = unquote(text);
    if (!unquoted) return {{}, Drop::bad_local_part};
    content = std::move(*unquoted);
  } else {
    if (!text.empty() && !is_dot_string(text)) return {{}, Drop::bad_local_part};
    content = text;
  }
  // `""@domain` is grammar, but nobody's mailbox, and Postfix would ask its table for `@domain`.
  if (content.empty()) return {{}, Drop::no_at};

  if (std::all_of(content.begin(), content.end(), is_ascii)) {
    content = ascii_lower(content);
  } else {
    auto folded = fold(content);
    if (!folded || judge_characters(*folded) != Drop::kept || holds_wide_space(*folded))
      return {{}, Drop::bad_local_part};
    content = std::move(*folded);
  }
  // Judged after folding, because NFC can bring forth a special: U+037E becomes ';'.
  std::string canonical = is_dot_string(content) ? std::move(content) : quote(content);
  if (canonical.size() > max_local_part) return {{}, Drop::too_long};
  return {std::move(canonical), Drop::kept};
}

}  // namespace rcptsync::recipient

#include "source/proxy_values.hpp"

#include <algorithm>

#include "recipient/object.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view stripped(std::string_view text, std::string_view separators) {
  const auto outer = [&](char c) {
    return separators.find(c) != std::string_view::npos || blanks.find(c) != std::string_view::npos;
  };
  while (!text.empty() && outer(text.front())) text.remove_prefix(1);
  while (!text.empty() && outer(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t type_end(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-' || c == '.' || c == '_';
  });
  return static_cast<std::size_t>(end - text.begin());
}

// Beside a type, what csvde puts in the place of a value that is not ASCII: X'…'.
bool begins_value(std::string_view text) {
  return is_typed(text) || text.starts_with("X'");
}

}  // namespace

bool is_typed(std::string_view text) {
  const auto end = type_end(text);
  return end > 0 && end < text.size() && text[end] == ':' &&
         ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
}

std::vector<std::string_view> typed_values(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> values;
  std::size_t begin = 0;
  const auto take = [&](std::size_t end) {
    if (const auto value = stripped(text.substr(begin, end - begin), separators); !value.empty())
      values.push_back(value);
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto separator = text.find_first_of(separators, at);
    if (separator == std::string_view::npos) break;
    at = separator + 1;
    const auto next = text.find_first_not_of(blanks, at);
    if (next == std::string_view::npos) break;
    at = std::max(at, next);
    if (begins_value(text.substr(at))) take(at);
    // No type can begin before this word ends.
    at += type_end(text.substr(at));
  }
  take(text.size());
  return values;
}

std::vector<std::string_view> mail_values(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> values;
  for (const auto piece : typed_values(text, separators)) {
    if (recipient::other_protocol(piece)) continue;
    bool in_quotes = false, has_domain = false;
    std::size_t begin = 0;
    const auto take = [&](std::size_t end) {
      const auto value = stripped(piece.substr(begin, end - begin), separators);
      if (!value.empty()) values.push_back(value);
      begin = end;
      has_domain = false;
    };
    for (std::size_t at = 0; at < piece.size(); ++at) {
      if (piece[at] == '\\' && in_quotes)
        ++at;
      else if (piece[at] == '"')
        in_quotes = !in_quotes;
      else if (in_quotes)
        continue;
      else if (piece[at] == '@')
        has_domain = true;
      // Of all separators the bar alone may stand in a local part (atext, RFC 5322 §3.2.3).
      else if (separators.find(piece[at]) != std::string_view::npos &&
               (piece[at] != '|' || has_domain))
        take(at);
    }
    take(piece.size());
  }
  return values;
}

}  // namespace rcptsync::source

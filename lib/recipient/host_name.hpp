// host_name — the ASCII rules for a mail domain, those that need no library.
//
// Labels of letters, digits, hyphens inside (RFC 1123 §2.1), and underscores: no host name may have
// those, but Windows domains do, DNS and Postfix carry them, and a recipient must not be lost over
// one. A name of digits and dots alone is an IPv4 address in disguise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace rcptsync::recipient {

inline constexpr std::size_t max_label = 63;    ///< octets, RFC 1035 §2.3.4
inline constexpr std::size_t max_domain = 253;  ///< octets without the final dot

/// Lower case for a label character, '\0' for what is none.
constexpr char lower_label_character(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') return c;
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : '\0';
}

/// Checks a label and folds it in place; false if it is none.
inline bool lower_label(std::string& label) {
  if (label.empty() || label.size() > max_label || label.front() == '-' || label.back() == '-')
    return false;
  for (char& c : label) {
    c = lower_label_character(c);
    if (c == '\0') return false;
  }
  return true;
}

/// True for `xn--…` in lower case.
inline bool has_a_label_prefix(std::string_view label) {
  return label.starts_with("xn--");
}

inline bool is_numeric(std::string_view domain) {
  return std::all_of(domain.begin(), domain.end(),
                     [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

}  // namespace rcptsync::recipient

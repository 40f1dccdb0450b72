#include "config/mailbox.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "base/escape.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_reject = 400;

Error invalid(std::string message) {
  return {Errc::invalid, std::move(message)};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

bool is_non_ascii(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}

// RFC 5322 §3.2.3, with the characters of RFC 6532.
bool is_atext(char c) {
  constexpr std::string_view special = "!#$%&'*+-/=?^_`{|}~";
  return is_letter_or_digit(c) || is_non_ascii(c) || special.find(c) != std::string_view::npos;
}

bool is_dot_string(std::string_view text) {
  if (text.empty() || text.starts_with('.') || text.ends_with('.') ||
      text.find("..") != std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || is_atext(c); });
}

bool is_quoted_string(std::string_view text) {
  if (text.size() < 3 || !text.starts_with('"') || !text.ends_with('"')) return false;
  text = text.substr(1, text.size() - 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      if (++i == text.size() || !is_printable(text[i])) return false;
    } else if (text[i] == '"' || !(is_printable(text[i]) || is_non_ascii(text[i]))) {
      return false;
    }
  }
  return true;
}

// `5.1.1` of the class that `code` has, or something that is no enhanced code at all.
bool enhanced_code_agrees(std::string_view word, char code_class) {
  if (word.size() < 5 || !is_digit(word[0]) || word[1] != '.') return true;
  const bool shaped =
      std::all_of(word.begin(), word.end(), [](char c) { return c == '.' || is_digit(c); }) &&
      std::count(word.begin(), word.end(), '.') == 2 && word.back() != '.' &&
      word.find("..") == std::string_view::npos;
  return !shaped || word[0] == code_class;
}

}  // namespace

Result<> check_domain(std::string_view text) {
  if (text.starts_with("*.") || text.starts_with('.'))
    return invalid(
        fmt::format("{} is no domain; subdomains are listed one by one", escape(text, 80)));
  if (text.starts_with('@'))
    return invalid(
        fmt::format("{} begins with @; write {}", escape(text, 80), escape(text.substr(1), 80)));
  const auto wrong =
      invalid(fmt::format("{} is no mail domain; write for example example.com", escape(text, 80)));
  if (text.empty() || text.size() > 253 || text.ends_with('.')) return wrong;
  while (!text.empty()) {
    const auto label = text.substr(0, text.find('.'));
    const bool allowed = std::all_of(label.begin(), label.end(), [](char c) {
      return is_letter_or_digit(c) || c == '-' || is_non_ascii(c);
    });
    if (!allowed || label.empty() || label.size() > 63 || label.front() == '-' ||
        label.back() == '-')
      return wrong;
    text.remove_prefix(label.size());
    if (!text.empty()) text.remove_prefix(1);
  }
  return {};
}

Result<> check_local_part(std::string_view text) {
  if (text.size() > 64)
    return invalid(fmt::format("{} has a local part of more than 64 bytes", escape(text, 80)));
  if (!is_dot_string(text) && !is_quoted_string(text))
    return invalid(fmt::format("{} is no local part of an address", escape(text, 80)));
  return {};
}

Result<> check_address(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos)
    return invalid(fmt::format("{} is no address; write local@domain", escape(text, 80)));
  if (text.size() > 254)
    return invalid(fmt::format("{} is longer than the 254 bytes of an address", escape(text, 80)));
  if (const auto local = check_local_part(text.substr(0, at)); !local)
    return invalid(fmt::format("{} is no address: its local part is wrong", escape(text, 80)));
  if (const auto domain = check_domain(text.substr(at + 1)); !domain)
    return invalid(fmt::format("{} is no address: its domain is wrong", escape(text, 80)));
  return {};
}

Result<> check_reject(std::string_view text) {
  if (text.size() > max_reject)
    return invalid(fmt::format("the reject text is {} bytes long; at most {} are accepted",
                               text.size(), max_reject));
  if (!std::all_of(text.begin(), text.end(), is_printable))
    return invalid("the reject text is not printable ASCII, which is all that SMTP carries");
  const auto code = text.substr(0, text.find(' '));
  if (code.size() != 3 || (code[0] != '4' && code[0] != '5') || code[1] < '0' || code[1] > '5' ||
      !is_digit(code[2]))
    return invalid(
        fmt::format("a reject text begins with an SMTP reply code 4NN or 5NN, not {}; "
                    "write for example 550 5.1.1 No such user here",
                    escape(code, 40)));
  if (code == "421" || code == "521")
    return invalid(
        fmt::format("{} makes Postfix hang up, also on the other recipients of the same "
                    "message; write {}",
                    code, code == "421" ? "450" : "550"));
  auto rest = text.substr(3);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  if (!enhanced_code_agrees(rest.substr(0, rest.find(' ')), code[0]))
    return invalid(fmt::format("the enhanced code {} does not go with {}; both must begin with {}",
                               escape(rest.substr(0, rest.find(' ')), 20), code, code[0]));
  return {};
}

}  // namespace rcptsync::config

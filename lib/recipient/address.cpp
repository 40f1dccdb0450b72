#include "recipient/address.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "recipient/host_name.hpp"
#include "recipient/local_part.hpp"
#include "recipient/unicode.hpp"

namespace rcptsync::recipient {
namespace {

constexpr std::size_t max_address = 254;  // RFC 5321 §4.5.3.1.3 less the angle brackets

// No sane spelling of an address of 254 octets is longer: quoted pairs double it, decomposed
// characters take up to three times the room.
constexpr std::size_t max_text = 1024;

// One look-up for each octet of the common case: the folded atext octet, or 0.
const std::array<char, 256>& atext_table() {
  static const auto table = [] {
    std::array<char, 256> made{};
    for (int octet = 0; octet < 128; ++octet) {
      const char c = static_cast<char>(octet);
      if (is_atext(c))
        made[static_cast<std::size_t>(octet)] =
            c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    }
    return made;
  }();
  return table;
}

// Nearly every address is an ASCII dot-string in an ASCII domain. Folds `text` into `out`, or
// answers false for whatever is not plainly right: then the full grammar judges it.
bool parse_plain(std::string_view text, std::string& out) {
  const auto at = text.find('@');
  if (at == std::string_view::npos || at == 0 || at > max_local_part || text.size() > max_address)
    return false;
  out.resize(text.size());
  char* to = out.data();
  const auto& atext = atext_table();
  char before = '.';
  for (const char c : text.substr(0, at)) {
    const char folded = atext[static_cast<std::uint8_t>(c)];
    if (folded == '\0' && (c != '.' || before == '.')) return false;
    before = c;
    *to++ = folded == '\0' ? '.' : folded;
  }
  if (before == '.') return false;
  *to++ = '@';

  const char* const domain = to;
  const char* label = to;
  const auto label_is_plain = [&label](const char* end) {
    const std::string_view text_of_label(label, static_cast<std::size_t>(end - label));
    return !text_of_label.empty() && text_of_label.size() <= max_label &&
           text_of_label.front() != '-' && text_of_label.back() != '-' &&
           !has_a_label_prefix(text_of_label);
  };
  for (const char c : text.substr(at + 1)) {
    if (c == '.') {
      if (!label_is_plain(to)) return false;
      *to++ = '.';
      label = to;
    } else {
      *to = lower_label_character(c);
      if (*to++ == '\0') return false;
    }
  }
  const auto length = static_cast<std::size_t>(to - domain);
  return label_is_plain(to) && length <= max_domain && !is_numeric({domain, length});
}

// Addresses that need libidn2 come in runs of one domain; remembering the last one saves most of
// the work. Per thread, because sources parse on threads of their own.
const std::string& remembered_domain(std::string_view text) {
  thread_local std::string last_text;
  thread_local std::string last_canonical;
  if (last_text != text) {
    last_canonical = canonical_domain(text);
    last_text = text;
  }
  return last_canonical;
}

Parsed dropped(Drop why) {
  return {{}, why};
}

Parsed parse_general(std::string_view text) {
  if (text.size() > max_text) return dropped(Drop::too_long);
  if (const Drop drop = judge_characters(text); drop != Drop::kept) return dropped(drop);

  const auto at = local_part_end(text);
  if (at == std::string_view::npos || at + 1 == text.size()) return dropped(Drop::no_at);
  auto local = canonical_local_part(text.substr(0, at));
  if (local.drop != Drop::kept) return dropped(local.drop);

  // An address literal (`user@[192.0.2.1]`) ends here too: it names one host, which no relay table
  // is ever asked about.
  const std::string_view domain_text = text.substr(at + 1);
  // A final dot belongs to DNS; in an address it is a mistake (RFC 5321 §2.3.5).
  if (domain_text.ends_with('.')) return dropped(Drop::bad_domain);
  const std::string& domain = remembered_domain(domain_text);
  if (domain.empty())
    return dropped(domain_text.size() > max_domain ? Drop::too_long : Drop::bad_domain);

  Parsed parsed{std::move(local.canonical), Drop::kept};
  parsed.canonical += '@';
  parsed.canonical += domain;
  return parsed.canonical.size() > max_address ? dropped(Drop::too_long) : parsed;
}

}  // namespace

Parsed parse_address(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  text.remove_suffix(text.size() - (text.find_last_not_of(' ') + 1));
  if (text.empty()) return dropped(Drop::empty);
  Parsed parsed;
  if (parse_plain(text, parsed.canonical)) return parsed;
  return parse_general(text);
}

std::string_view domain_of(std::string_view canonical) {
  return canonical.substr(canonical.rfind('@') + 1);
}

std::string_view local_of(std::string_view canonical) {
  return canonical.substr(0, std::min(canonical.rfind('@'), canonical.size()));
}

}  // namespace rcptsync::recipient

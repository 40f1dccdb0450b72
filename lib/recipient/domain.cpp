#include <idn2.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/handle.hpp"
#include "recipient/address.hpp"
#include "recipient/host_name.hpp"

namespace rcptsync::recipient {
namespace {

using Text = Handle<char, idn2_free>;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// RFC 5891 §5 (look-up) with the mapping of UTS #46 before it, as browsers do: upper case and full
// width are the same domain; deviations (ß, ς, ZWJ) stay what they are.
std::optional<std::string> to_ascii(const std::string& label) {
  std::uint8_t* encoded = nullptr;
  const int rc = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(label.c_str()), &encoded,
                                IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const Text owner(reinterpret_cast<char*>(encoded));
  if (rc != IDN2_OK || !owner) return std::nullopt;
  return std::string(owner.get());
}

std::optional<std::string> to_unicode(const std::string& label) {
  char* decoded = nullptr;
  const int rc = idn2_to_unicode_8z8z(label.c_str(), &decoded, 0);
  const Text owner(decoded);
  if (rc != IDN2_OK || !owner) return std::nullopt;
  return std::string(owner.get());
}

// `xn--…` is an A-label only if it is what its own U-label encodes to (RFC 5890 §2.3.2.1). Anything
// else would be a second spelling of a domain, or a name that no other program can decode.
bool is_a_label(const std::string& label) {
  const auto decoded = to_unicode(label);
  return decoded && !is_ascii(*decoded) && to_ascii(*decoded) == label;
}

std::optional<std::string> canonical_label(std::string_view text) {
  // The library takes C strings; a longer label than this cannot be one in any encoding.
  if (text.empty() || text.size() > 4 * max_label || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::string label(text);
  if (!is_ascii(label)) {
    auto encoded = to_ascii(label);
    if (!encoded) return std::nullopt;
    label = std::move(*encoded);
  }
  if (!lower_label(label)) return std::nullopt;
  if (has_a_label_prefix(label) && !is_a_label(label)) return std::nullopt;
  return label;
}

// The other full stops that UTS #46 maps to '.': U+3002, U+FF0E, U+FF61.
std::string with_plain_dots(std::string_view text) {
  std::string plain(text);
  for (const std::string_view dot : {"\u3002", "\uff0e", "\uff61"})
    for (auto at = plain.find(dot); at != std::string::npos; at = plain.find(dot, at))
      plain.replace(at, dot.size(), ".");
  return plain;
}

// Calls `each` for every label; false as soon as it answers false.
template <class Each>
bool for_each_label(std::string_view domain, const Each& each) {
  for (;;) {
    const auto end = domain.find('.');
    if (!each(domain.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    domain.remove_prefix(end + 1);
  }
}

}  // namespace

std::string canonical_domain(std::string_view text) {
  if (text.size() > 4 * max_domain) return {};
  if (text.ends_with('.')) text.remove_suffix(1);
  const std::string plain = is_ascii(text) ? std::string(text) : with_plain_dots(text);
  std::string canonical;
  const bool good = for_each_label(plain, [&](std::string_view text_of_label) {
    const auto label = canonical_label(text_of_label);
    if (!label) return false;
    if (!canonical.empty()) canonical += '.';
    canonical += *label;
    return canonical.size() <= max_domain;
  });
  if (!good || is_numeric(canonical)) return {};
  return canonical;
}

std::string unicode_domain(std::string_view canonical_domain) {
  std::string unicode;
  unicode.reserve(canonical_domain.size());
  for_each_label(canonical_domain, [&](std::string_view text) {
    if (!unicode.empty()) unicode += '.';
    const std::string label(text);
    unicode +=
        has_a_label_prefix(label) && is_a_label(label) ? to_unicode(label).value_or(label) : label;
    return true;
  });
  return unicode;
}

}  // namespace rcptsync::recipient

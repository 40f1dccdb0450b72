#include "recipient/unicode.hpp"

#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/escape.hpp"
#include "base/handle.hpp"

namespace rcptsync::recipient {
namespace {

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

// u8_casefold with a buffer on the stack; it allocates only what does not fit there.
std::optional<std::string> casefold(std::string_view text, uninorm_t normalisation) {
  std::array<std::uint8_t, 1024> buffer;
  std::size_t length = buffer.size();
  std::uint8_t* const folded =
      u8_casefold(bytes_of(text), text.size(), nullptr, normalisation, buffer.data(), &length);
  if (folded == nullptr) return std::nullopt;
  const Handle<std::uint8_t, std::free> allocated(folded == buffer.data() ? nullptr : folded);
  return std::string(reinterpret_cast<const char*>(folded), length);
}

bool is_control(ucs4_t c) {
  if (c < 0x80) return c < 0x20 || c == 0x7f;
  return c < 0xa0 || c == 0xfeff || c == 0x2028 || c == 0x2029 || uc_is_property_bidi_control(c) ||
         uc_is_property_not_a_character(c);
}

template <class Predicate>
bool any_character(std::string_view text, const Predicate& predicate) {
  for (std::size_t i = 0; i < text.size();) {
    ucs4_t c = 0;
    i += static_cast<std::size_t>(u8_mbtouc(&c, bytes_of(text) + i, text.size() - i));
    if (predicate(c)) return true;
  }
  return false;
}

}  // namespace

Drop judge_characters(std::string_view text) {
  if (!is_utf8(text)) return Drop::not_utf8;
  return any_character(text, is_control) ? Drop::control : Drop::kept;
}

bool holds_wide_space(std::string_view text) {
  return any_character(text, [](ucs4_t c) { return c >= 0x80 && uc_is_property_white_space(c); });
}

std::optional<std::string> fold(std::string_view text) {
  // One pass is a fixed point for all text the standard has examples of; the loop makes it a fact.
  std::string current(text);
  for (int pass = 0; pass < 4; ++pass) {
    auto next = casefold(current, UNINORM_NFC);
    if (!next) return std::nullopt;
    if (*next == current) return next;
    current = std::move(*next);
  }
  return std::nullopt;
}

std::string case_fold(std::string_view text) {
  return casefold(text, nullptr).value_or(std::string(text));
}

}  // namespace rcptsync::recipient

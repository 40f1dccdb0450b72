#include "recipient/object.hpp"

#include <algorithm>
#include <array>

#include "base/escape.hpp"

namespace rcptsync::recipient {
namespace {

constexpr bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Exchange's address types are letters and digits (`X400`, `CCMAIL`); directories of other origin
// put URIs there (`h323`, `xmpp`), whose schemes may hold `+-.` too (RFC 3986 §3.1).
constexpr bool is_type_character(char c) {
  return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == '_';
}

// The same by look-up: every value of every object of every poll is asked.
constexpr auto type_characters = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c)
    table[static_cast<std::size_t>(c)] = is_type_character(static_cast<char>(c));
  return table;
}();

std::string_view without_leading_spaces(std::string_view value) {
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

// The `name` of `name:rest`, empty if the value has none.
std::string_view type_of(std::string_view value) {
  const auto end = std::find_if_not(value.begin(), value.end(), [](char c) {
    return type_characters[static_cast<unsigned char>(c)];
  });
  if (end == value.begin() || end == value.end() || *end != ':' || !is_alpha(value.front()))
    return {};
  return value.substr(0, static_cast<std::size_t>(end - value.begin()));
}

}  // namespace

std::string_view to_string(ObjectClass value) {
  switch (value) {
    case ObjectClass::other:
      return "other";
    case ObjectClass::user:
      return "user";
    case ObjectClass::group:
      return "group";
    case ObjectClass::contact:
      return "contact";
    case ObjectClass::public_folder:
      return "public folder";
    case ObjectClass::entry:
      return "entry";
  }
  return "other";
}

std::string_view to_string(Drop value) {
  switch (value) {
    case Drop::kept:
      return "kept";
    case Drop::empty:
      return "empty";
    case Drop::too_long:
      return "longer than an address can be (RFC 5321: 64 octets before the @, 254 in all)";
    case Drop::not_utf8:
      return "not UTF-8";
    case Drop::control:
      return "holds a control character";
    case Drop::no_at:
      return "no @ with something on both sides of it";
    case Drop::bad_local_part:
      return "what stands before the @ is no local part (RFC 5321, RFC 6531)";
    case Drop::bad_domain:
      return "what stands after the @ is no mail domain";
    case Drop::other_domain:
      return "not in recipients.domains";
    case Drop::excluded:
      return "excluded by recipients.exclude";
    case Drop::sender_authentication:
      return "takes mail from authenticated senders only";
    case Drop::system_object:
      return "belongs to a system mailbox";
  }
  return "unknown";
}

bool other_protocol(std::string_view value) {
  // What Exchange writes.
  if (value.starts_with("smtp:") || value.starts_with("SMTP:")) return false;
  const auto type = type_of(without_leading_spaces(value));
  return !type.empty() && !ascii_equal(type, "smtp");
}

std::string_view without_prefix(std::string_view value) {
  const auto text = without_leading_spaces(value);
  const auto type = type_of(text);
  return type.size() == 4 && ascii_equal(type, "smtp") ? text.substr(5) : value;
}

}  // namespace rcptsync::recipient

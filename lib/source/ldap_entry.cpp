#include "source/ldap_entry.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/escape.hpp"
#include "base/handle.hpp"

namespace rcptsync::source {
namespace {

// The DN is kept for people; nobody reads more than this of it.
constexpr std::size_t max_origin = 1024;

std::string_view view(const berval& value) {
  return {value.bv_val, value.bv_len};
}

// Ends the walk over an entry's attributes: the decoder's cursor, not the message.
void free_cursor(BerElement* cursor) {
  ::ber_free(cursor, 0);
}
void free_values(berval* values) {
  ::ber_memfree(values);
}

struct KnownClass {
  std::string_view name;
  int rank;
  recipient::ObjectClass kind;
};

// An entry names all its classes, the general ones too: a contact is also a person. The higher
// rank decides.
constexpr std::array known_classes{
    KnownClass{"person", 1, recipient::ObjectClass::user},
    KnownClass{"account", 1, recipient::ObjectClass::user},
    KnownClass{"posixAccount", 1, recipient::ObjectClass::user},
    KnownClass{"inetOrgPerson", 2, recipient::ObjectClass::user},
    KnownClass{"user", 2, recipient::ObjectClass::user},
    KnownClass{"contact", 3, recipient::ObjectClass::contact},
    KnownClass{"group", 3, recipient::ObjectClass::group},
    KnownClass{"groupOfNames", 3, recipient::ObjectClass::group},
    KnownClass{"groupOfUniqueNames", 3, recipient::ObjectClass::group},
    KnownClass{"posixGroup", 3, recipient::ObjectClass::group},
    KnownClass{"mailGroup", 3, recipient::ObjectClass::group},
    KnownClass{"nisMailAlias", 3, recipient::ObjectClass::group},
    KnownClass{"msExchDynamicDistributionList", 3, recipient::ObjectClass::group},
    KnownClass{"publicFolder", 4, recipient::ObjectClass::public_folder},
};

std::string_view cut(std::string_view dn) {
  if (dn.size() <= max_origin) return dn;
  std::size_t end = max_origin;
  while (end > 0 && (static_cast<unsigned char>(dn[end]) & 0xC0U) == 0x80U) --end;
  return dn.substr(0, end);
}

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, number);
  return !text.empty() && code == std::errc{} && stop == end;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

recipient::ObjectClass kind_of(std::string_view object_class, int& rank) {
  for (const auto& known : known_classes) {
    if (ascii_equal(known.name, object_class)) {
      rank = known.rank;
      return known.kind;
    }
  }
  rank = 0;
  return recipient::ObjectClass::other;
}

bool parse_uuid(std::string_view text, std::array<char, 16>& bytes) {
  constexpr std::size_t length = 36;
  if (text.size() != length) return false;
  std::size_t digits = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return false;
    if (dash) continue;
    const int digit = hex_digit(text[i]);
    if (digit < 0) return false;
    auto& byte = bytes[digits++ / 2];
    byte =
        static_cast<char>(digits % 2 == 1 ? digit << 4 : static_cast<unsigned char>(byte) | digit);
  }
  return true;
}

Result<AttributeName> parse_attribute_name(std::string_view text) {
  AttributeName name;
  auto end = text.find(';');
  name.base = text.substr(0, end);
  while (end != std::string_view::npos) {
    const auto start = end + 1;
    end = text.find(';', start);
    const auto option = text.substr(start, end == std::string_view::npos ? end : end - start);
    constexpr std::string_view mark = "range=";
    if (!ascii_equal(option.substr(0, mark.size()), mark)) continue;
    const auto range = option.substr(mark.size());
    const auto dash = range.find('-');
    name.ranged = true;
    name.complete = dash != std::string_view::npos && range.substr(dash + 1) == "*";
    const bool good =
        dash != std::string_view::npos && parse_number(range.substr(0, dash), name.first) &&
        (name.complete ||
         (parse_number(range.substr(dash + 1), name.last) && name.last >= name.first));
    if (!good)
      return Error{Errc::protocol,
                   fmt::format("the server sent {}, which is no range of values", escape(text))};
  }
  return name;
}

recipient::Object Entry::object() const {
  return {.key = key,
          .origin = cut(dn),
          .kind = kind,
          .drop = drop,
          .values = addresses.empty() ? fallback : addresses};
}

EntryDecoder::EntryDecoder(config::SourceType type, const config::LdapSource& settings)
    : active_directory_(type == config::SourceType::active_directory),
      drop_sender_authentication_(settings.drop_sender_authentication) {
  const auto want = [this](const std::string& name) -> Wanted& {
    for (auto& wanted : wanted_)
      if (ascii_equal(wanted.name, name)) return wanted;
    return wanted_.emplace_back(Wanted{.name = name});
  };
  for (const auto& name : settings.addresses) want(name).address = true;
  for (const auto& name : settings.fallback) want(name).fallback = true;

  names_ = {"objectClass", "objectGUID"};
  if (!active_directory_) names_.emplace_back("entryUUID");
  if (drop_sender_authentication_) names_.emplace_back("msExchRequireAuthToSendTo");
  for (const auto& wanted : wanted_) names_.push_back(wanted.name);
  for (auto& name : names_) request_.push_back(name.data());
  request_.push_back(nullptr);
}

Result<Entry*> EntryDecoder::decode(LDAP* ldap, LDAPMessage* message) {
  entry_.addresses.clear();
  entry_.fallback.clear();
  entry_.missing.clear();
  entry_.kind = recipient::ObjectClass::other;
  entry_.drop = recipient::Drop::kept;
  guid_ = {};
  has_uuid_ = false;
  rank_ = 0;

  BerElement* position = nullptr;
  berval dn{};
  if (::ldap_get_dn_ber(ldap, message, &position, &dn) != LDAP_SUCCESS)
    return Error{Errc::protocol, "the server sent an entry that is not LDAP"};
  const Handle<BerElement, free_cursor> cursor(position);
  entry_.dn = view(dn);
  for (;;) {
    berval name{};
    berval* list = nullptr;
    const int code = ::ldap_get_attribute_ber(ldap, message, cursor.get(), &name, &list);
    const Handle<berval, free_values> values(list);
    if (code != LDAP_SUCCESS)
      return Error{Errc::protocol,
                   fmt::format("the server sent an entry that is not LDAP: {}", escape(entry_.dn))};
    if (name.bv_val == nullptr) break;
    constexpr berval none{};
    if (auto taken = take(view(name), values ? values.get() : &none); !taken) return taken.error();
  }

  entry_.key = !guid_.empty() ? guid_
               : has_uuid_    ? std::string_view(uuid_.data(), uuid_.size())
                              : std::string_view{};
  if (entry_.key.empty()) return no_key();
  return &entry_;
}

Result<> EntryDecoder::take(std::string_view name, Values values) {
  auto parsed = parse_attribute_name(name);
  if (!parsed) return parsed.error().within(escape(entry_.dn));
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    // Who asks for `mail;lang-de` means just that; who asks for `mail` gets it with any option.
    const bool exact = wanted_[i].name.find(';') != std::string::npos;
    if (!ascii_equal(wanted_[i].name, exact ? name : parsed->base)) continue;
    for (auto value = values; value->bv_val != nullptr; ++value) add(entry_, i, view(*value));
    if (parsed->first != 0)
      return Error{Errc::protocol, fmt::format("{}: {} does not begin with the first value",
                                               escape(entry_.dn), escape(name))};
    if (!parsed->complete) entry_.missing.push_back({.attribute = i, .from = parsed->last + 1});
    break;
  }
  return take_identity(parsed->base, values);
}

Result<> EntryDecoder::take_identity(std::string_view name, Values values) {
  if (ascii_equal(name, "objectClass")) {
    for (auto value = values; value->bv_val != nullptr; ++value) {
      int rank = 0;
      const auto kind = kind_of(view(*value), rank);
      if (rank <= rank_) continue;
      rank_ = rank;
      entry_.kind = kind;
    }
    return {};
  }
  if (drop_sender_authentication_ && ascii_equal(name, "msExchRequireAuthToSendTo")) {
    if (values->bv_val != nullptr && ascii_equal(view(*values), "TRUE"))
      entry_.drop = recipient::Drop::sender_authentication;
    return {};
  }
  return take_key(name, values);
}

Result<> EntryDecoder::take_key(std::string_view name, Values values) {
  if (values->bv_val == nullptr) return {};
  const auto value = view(*values);
  if (ascii_equal(name, "objectGUID")) {
    if (value.size() != uuid_.size())
      return Error{Errc::protocol, fmt::format("{}: its objectGUID has {} bytes instead of 16",
                                               escape(entry_.dn), value.size())};
    guid_ = value;
  } else if (!active_directory_ && ascii_equal(name, "entryUUID")) {
    if (!parse_uuid(value, uuid_))
      return Error{Errc::protocol, fmt::format("{}: its entryUUID {} is no UUID", escape(entry_.dn),
                                               escape(value))};
    has_uuid_ = true;
  }
  return {};
}

void EntryDecoder::add(Entry& entry, std::size_t attribute, std::string_view text) const {
  if (recipient::other_protocol(text)) return;
  const auto& wanted = wanted_[attribute];
  const recipient::Value value{.attribute = wanted.name, .text = text, .reject = {}};
  if (wanted.address) entry.addresses.push_back(value);
  if (wanted.fallback) entry.fallback.push_back(value);
}

Error EntryDecoder::no_key() const {
  return {Errc::not_found,
          active_directory_
              ? fmt::format("{} came without objectGUID, by which objects are told apart; give the "
                            "account read rights on it, or use type: ldap for this server",
                            escape(entry_.dn))
              : fmt::format("{} came without entryUUID and objectGUID, by which entries are told "
                            "apart; give the account read rights on one of them",
                            escape(entry_.dn))};
}

OwnedEntry::OwnedEntry(const Entry& entry) : entry_(entry) {
  entry_.dn = own(entry.dn);
  entry_.key = own(entry.key);
  for (auto& value : entry_.addresses) value.text = own(value.text);
  for (auto& value : entry_.fallback) value.text = own(value.text);
}

}  // namespace rcptsync::source

#include "source/ldap_entry.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "base/plural.hpp"
#include "source/recipient_type.hpp"

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

// How many bytes of the entry lie after the cursor.
ber_len_t rest(BerElement* cursor) {
  ber_len_t bytes = 0;
  ::ber_get_option(cursor, LBER_OPT_BER_REMAINING_BYTES, &bytes);
  return bytes;
}

// ascii_equal() where nearly every pair differs in length already: each attribute and each class of
// each entry is compared with a handful of names.
bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ascii_equal(a, b);
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
    if (same_name(known.name, object_class)) {
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
      drop_system_mailboxes_(settings.drop_system_mailboxes) {
  const auto want = [this](const std::string& name) -> Wanted& {
    for (auto& wanted : wanted_)
      if (ascii_equal(wanted.name, name)) return wanted;
    return wanted_.emplace_back(Wanted{.name = name});
  };
  for (const auto& name : settings.addresses) want(name).address = true;
  for (const auto& name : settings.fallback) want(name).fallback = true;

  ask_for("objectClass", Role::object_class);
  ask_for("objectGUID", Role::guid);
  if (!active_directory_) ask_for("entryUUID", Role::uuid);
  if (settings.drop_sender_authentication)
    ask_for("msExchRequireAuthToSendTo", Role::sender_authentication);
  if (drop_system_mailboxes_) ask_for("msExchRecipientTypeDetails", Role::recipient_type);
  for (std::size_t i = 0; i < wanted_.size(); ++i) ask_for(wanted_[i].name, Role::address, i);
  for (auto& requested : requested_) request_.push_back(requested.name.data());
  request_.push_back(nullptr);
}

void EntryDecoder::ask_for(std::string name, Role role, std::size_t wanted) {
  for (auto& requested : requested_) {
    if (!ascii_equal(requested.name, name)) continue;
    requested.wanted = wanted;
    return;
  }
  const bool with_options = name.find(';') != std::string::npos;
  requested_.push_back({std::move(name), with_options, role, wanted});
}

const EntryDecoder::Requested* EntryDecoder::find(std::string_view name,
                                                  std::string_view base) const {
  for (const auto& requested : requested_)
    if (same_name(requested.name, requested.with_options ? name : base)) return &requested;
  return nullptr;
}

Result<Entry*> EntryDecoder::decode(LDAP* ldap, LDAPMessage* message) {
  entry_.addresses.clear();
  entry_.fallback.clear();
  entry_.missing.clear();
  entry_.kind = recipient::ObjectClass::other;
  guid_ = {};
  has_uuid_ = false;
  sender_authentication_ = false;
  has_recipient_type_ = false;
  system_type_ = false;
  rank_ = 0;

  BerElement* position = nullptr;
  berval dn{};
  if (::ldap_get_dn_ber(ldap, message, &position, &dn) != LDAP_SUCCESS)
    return Error{Errc::protocol, "the server sent an entry that is not LDAP"};
  const Handle<BerElement, free_cursor> cursor(position);
  entry_.dn = view(dn);
  // RFC 4511 §4.1.7: PartialAttribute ::= SEQUENCE {type OCTET STRING, vals SET OF OCTET STRING}.
  // Walked in place: ldap_get_attribute_ber would allocate an array for each attribute.
  for (;;) {
    if (rest(cursor.get()) == 0) break;
    ber_len_t length = 0;
    char* end = nullptr;
    berval name{};
    if (::ber_peek_tag(cursor.get(), &length) != LBER_SEQUENCE ||
        ::ber_first_element(cursor.get(), &length, &end) != LBER_OCTETSTRING ||
        ::ber_skip_element(cursor.get(), &name) != LBER_OCTETSTRING)
      return not_ldap();
    const auto* const entry_end = name.bv_val + name.bv_len + rest(cursor.get());
    if (auto taken = take(view(name), cursor.get(), entry_end); !taken) return taken.error();
    if (entry_end - rest(cursor.get()) != end) return not_ldap();
  }

  entry_.drop = drop();
  // entryUUID first: content synchronization (RFC 4533) names entries by it.
  entry_.key = has_uuid_ ? std::string_view(uuid_.data(), uuid_.size()) : guid_;
  if (entry_.key.empty()) return no_key();
  return &entry_;
}

// One attribute; the cursor stands before its values and afterwards behind them. An element that
// reaches beyond what holds it looks like the end of a list to liblber, so where the list ended is
// compared with where it had to end.
Result<> EntryDecoder::take(std::string_view name, BerElement* cursor, const char* entry_end) {
  auto parsed = parse_attribute_name(name);
  if (!parsed) return parsed.error().within(escape(entry_.dn));
  const auto* requested = find(name, parsed->base);

  ber_len_t length = 0;
  char* end = nullptr;
  if (::ber_peek_tag(cursor, &length) != LBER_SET) return not_ldap();
  auto tag = ::ber_first_element(cursor, &length, &end);
  for (; tag != LBER_DEFAULT; tag = ::ber_next_element(cursor, &length, end)) {
    berval value{};
    if (tag != LBER_OCTETSTRING || ::ber_skip_element(cursor, &value) != LBER_OCTETSTRING)
      return not_ldap();
    if (requested == nullptr) continue;
    if (auto taken = take(*requested, view(value)); !taken) return taken;
  }
  if (entry_end - rest(cursor) != end) return not_ldap();

  if (requested == nullptr || requested->wanted == not_wanted) return {};
  if (parsed->first != 0)
    return Error{Errc::protocol, fmt::format("{}: {} does not begin with the first value",
                                             escape(entry_.dn), escape(name))};
  if (!parsed->complete)
    entry_.missing.push_back({.attribute = requested->wanted, .from = parsed->last + 1});
  return {};
}

Result<> EntryDecoder::take(const Requested& requested, std::string_view value) {
  if (requested.wanted != not_wanted) add(entry_, requested.wanted, value);
  switch (requested.role) {
    case Role::address:
      break;
    case Role::object_class:
      take_class(value);
      break;
    case Role::guid:
      return take_guid(value);
    case Role::uuid:
      return take_uuid(value);
    case Role::sender_authentication:
      sender_authentication_ = ascii_equal(value, "TRUE");
      break;
    case Role::recipient_type:
      has_recipient_type_ = true;
      system_type_ = is_system_recipient_type(value);
      break;
  }
  return {};
}

void EntryDecoder::take_class(std::string_view value) {
  int rank = 0;
  const auto kind = kind_of(value, rank);
  if (rank <= rank_) return;
  rank_ = rank;
  entry_.kind = kind;
}

Result<> EntryDecoder::take_guid(std::string_view value) {
  if (value.size() != uuid_.size())
    return Error{Errc::protocol, fmt::format("{}: its objectGUID has {} instead of 16",
                                             escape(entry_.dn), counted(value.size(), "byte"))};
  guid_ = value;
  return {};
}

Result<> EntryDecoder::take_uuid(std::string_view value) {
  if (!parse_uuid(value, uuid_))
    return Error{Errc::protocol,
                 fmt::format("{}: its entryUUID {} is no UUID", escape(entry_.dn), escape(value))};
  has_uuid_ = true;
  return {};
}

recipient::Drop EntryDecoder::drop() const {
  if (drop_system_mailboxes_ &&
      (has_recipient_type_ ? system_type_ : is_system_mailbox_name(entry_.dn)))
    return recipient::Drop::system_object;
  return sender_authentication_ ? recipient::Drop::sender_authentication : recipient::Drop::kept;
}

void EntryDecoder::add(Entry& entry, std::size_t attribute, std::string_view text) const {
  if (recipient::other_protocol(text)) return;
  const auto& wanted = wanted_[attribute];
  const recipient::Value value{.attribute = wanted.name, .text = text, .reject = {}};
  if (wanted.address) entry.addresses.push_back(value);
  if (wanted.fallback) entry.fallback.push_back(value);
}

Error EntryDecoder::not_ldap() const {
  return {Errc::protocol,
          fmt::format("the server sent an entry that is not LDAP: {}", escape(entry_.dn))};
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

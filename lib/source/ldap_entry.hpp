// ldap_entry — one SearchResultEntry as one object: its key, its kind, its addresses.
//
// Everything is a view into the message; what is collected here is reused from entry to entry, so
// that a directory of a million unchanged objects costs no allocation of ours.
#pragma once

#include <ldap.h>

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"

namespace rcptsync::source {

/// Of an attribute the server sent only the first values (`proxyAddresses;range=0-1499`).
struct MissingRange {
  std::size_t attribute = 0;  ///< index into EntryDecoder::wanted()
  std::uint64_t from = 0;     ///< the first value that is missing
};

struct Entry {
  std::string_view dn;   ///< whole
  std::string_view key;  ///< 16 bytes
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  recipient::Drop drop = recipient::Drop::kept;
  std::vector<recipient::Value> addresses;
  std::vector<recipient::Value> fallback;
  std::vector<MissingRange> missing;

  /// What the sink gets: the fallback's values only if `addresses` has none.
  [[nodiscard]] recipient::Object object() const;
};

class EntryDecoder {
 public:
  struct Wanted {
    std::string name;
    bool address = false;   ///< named in `addresses`
    bool fallback = false;  ///< named in `fallback`
  };

  EntryDecoder(config::SourceType type, const config::LdapSource& settings);
  EntryDecoder(const EntryDecoder&) = delete;
  EntryDecoder& operator=(const EntryDecoder&) = delete;

  /// The attribute list of the search request, NULL-terminated. Everything that decides about a
  /// recipient is in it, and nothing else.
  [[nodiscard]] char** request() { return request_.data(); }
  [[nodiscard]] const std::vector<Wanted>& wanted() const { return wanted_; }

  /// The entry stays valid until the next call or the message's end. Errors: protocol for what is
  /// not LDAP, not_found for an entry without a key.
  Result<Entry*> decode(LDAP* ldap, LDAPMessage* message);

  /// Adds values `texts` of wanted()[attribute] to an entry.
  void add(Entry& entry, std::size_t attribute, std::string_view text) const;

 private:
  /// What an attribute says beside the addresses that it may hold.
  enum class Role : std::uint8_t {
    address,
    object_class,
    guid,
    uuid,
    sender_authentication,
    recipient_type
  };
  static constexpr std::size_t not_wanted = static_cast<std::size_t>(-1);
  struct Requested {
    std::string name;
    bool with_options = false;  ///< who asks for `mail;lang-de` means just that
    Role role = Role::address;
    std::size_t wanted = not_wanted;  ///< index into wanted_
  };

  void ask_for(std::string name, Role role, std::size_t wanted = not_wanted);
  [[nodiscard]] const Requested* find(std::string_view name, std::string_view base) const;
  Result<> take(std::string_view name, BerElement* cursor, const char* entry_end);
  Result<> take(const Requested& requested, std::string_view value);
  Result<> take_guid(std::string_view value);
  Result<> take_uuid(std::string_view value);
  void take_class(std::string_view value);
  [[nodiscard]] recipient::Drop drop() const;
  [[nodiscard]] Error not_ldap() const;
  [[nodiscard]] Error no_key() const;

  const bool active_directory_;
  const bool drop_system_mailboxes_;
  std::vector<Wanted> wanted_;
  std::vector<Requested> requested_;
  std::vector<char*> request_;

  Entry entry_;
  std::string_view guid_;
  std::array<char, 16> uuid_{};
  bool has_uuid_ = false;
  bool sender_authentication_ = false;
  bool has_recipient_type_ = false;
  bool system_type_ = false;
  int rank_ = 0;
};

/// An entry that outlives its message.
class OwnedEntry {
 public:
  explicit OwnedEntry(const Entry& entry);
  OwnedEntry(const OwnedEntry&) = delete;
  OwnedEntry& operator=(const OwnedEntry&) = delete;

  [[nodiscard]] Entry& entry() { return entry_; }
  /// A copy of the bytes that lives as long as this.
  std::string_view own(std::string_view bytes) { return bytes_.emplace_back(bytes); }

 private:
  std::deque<std::string> bytes_;
  Entry entry_;
};

/// `proxyAddresses;range=0-1499` → the name before the options and the range.
struct AttributeName {
  std::string_view base;
  bool ranged = false;
  std::uint64_t first = 0;
  std::uint64_t last = 0;  ///< the last value that is here
  bool complete = true;    ///< nothing is missing after it (`range=1500-*`)
};

/// Errc::protocol for a range option that is none. Other options (`;lang-de`) are passed over.
Result<AttributeName> parse_attribute_name(std::string_view text);

/// The 16 bytes of an RFC 4122 UUID in text form; false if it is none.
bool parse_uuid(std::string_view text, std::array<char, 16>& bytes);

/// What the most specific known class among `classes` says; rank for comparing, higher is more.
recipient::ObjectClass kind_of(std::string_view object_class, int& rank);

}  // namespace rcptsync::source

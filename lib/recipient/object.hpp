// object — what a source found: one entry of a directory, one line of a file, one account.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace rcptsync::recipient {

/// What the object is there, for totals that a person reads and for the guard.
enum class ObjectClass : std::uint8_t {
  other = 0,
  user = 1,
  group = 2,
  contact = 3,
  public_folder = 4,
  entry = 5
};

std::string_view to_string(ObjectClass value);

/// Why a value, or every value of an object, is not a recipient. The numbers are stored.
enum class Drop : std::uint8_t {
  kept = 0,
  empty = 1,  ///< nothing, or only white space
  too_long =
      2,  ///< local part over 64 octets, domain over 253, or all of it over 254 (RFC 5321 §4.5.3.1)
  not_utf8 = 3,
  control = 4,         ///< a control character: could add a line to a table
  no_at = 5,           ///< no '@', or nothing on one side of it
  bad_local_part = 6,  ///< not a dot-string, not a quoted string (RFC 5321 §4.1.2, RFC 6531 §3.3)
  bad_domain = 7,      ///< not a host name, an address literal, or a label IDNA2008 refuses
  other_domain = 8,    ///< not one of recipients.domains
  excluded = 9,        ///< by recipients.exclude
  sender_authentication = 10,  ///< object: msExchRequireAuthToSendTo is TRUE
  system_object = 11,          ///< object: system, arbitration, health or discovery mailbox
};

/// The reason in words: `not in recipients.domains`.
std::string_view to_string(Drop value);

/// One value that may hold an address. Views: they live as long as the call they are passed to.
struct Value {
  std::string_view attribute;  ///< `proxyAddresses`, `mail`, `passwd`, `table`
  std::string_view text;       ///< as it stands in the source, with its prefix if it has one
  std::string_view
      reject;  ///< an access(5) text that the source gives for this address; empty: accepted
};

struct Object {
  /// Names the object for good: objectGUID, entryUUID, a name in a file. 1 to 128 bytes. Never the
  /// DN.
  std::string_view key;
  std::string_view origin;  ///< for people: DN, or file:line
  ObjectClass kind = ObjectClass::other;
  Drop drop = Drop::kept;         ///< not kept: the source's settings drop all of it
  std::span<const Value> values;  ///< without those of other protocols (other_protocol())
};

/// Takes the object changes of one read, in any order. A source calls it from its own thread.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  /// The object is there, and this is all of it. Twice in one read: the later one counts.
  virtual void upsert(const Object& object) = 0;
  /// The object is there, as it was in the last read. False: no such object is known, so the caller
  /// is in doubt and reads in full.
  virtual bool present(std::string_view key) = 0;
  /// The object is gone; only in incremental reads. A full read says it by silence. A key that was
  /// never there is no error.
  virtual void remove(std::string_view key) = 0;
  /// Forget everything since the read began: it starts again from the first page, on another
  /// server.
  virtual void restart() = 0;
};

/// True for `X400:…`, `SIP:…` and every other typed value (`name:`) but smtp in any case. Such
/// values are no e-mail addresses and are left out without a word. An unquoted local part cannot
/// hold a ':'.
bool other_protocol(std::string_view value);

/// The value without `smtp:`, if it has that in any case.
std::string_view without_prefix(std::string_view value);

}  // namespace rcptsync::recipient

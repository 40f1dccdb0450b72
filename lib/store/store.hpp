// store — the daemon's memory: one LMDB environment that holds every object, who owns which
// address, the table in force, what is held, every generation with its changes, and what each
// target holds.
//
// One process writes (a lock file says which), any number read at the same time. Everything of one
// cycle is one transaction. A damaged or foreign file is refused with a message; it is never
// started anew by itself, because an empty state would look like "everything was added".
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "recipient/object.hpp"

namespace rcptsync::store {

/// Identifies a source for good, by its name: 1 to 65535. 0 is the configuration itself (always,
/// static).
using SourceId = std::uint16_t;
inline constexpr SourceId configuration_source = 0;

struct StoredHash {
  std::uint64_t low = 0, high = 0;
  bool operator==(const StoredHash&) const = default;
};

/// A value of an object, and what the rules said of it when it was last judged.
struct StoredValue {
  std::string attribute;
  std::string text;  ///< as in the source; values that can never be addresses are cut to 320 bytes
  std::string canonical;  ///< empty if it has none
  std::string reject;
  recipient::Drop drop = recipient::Drop::kept;
  std::uint32_t rule_line = 0;
  bool operator==(const StoredValue&) const = default;
};

struct ObjectRecord {
  StoredHash hash;
  std::string origin;
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  recipient::Drop drop = recipient::Drop::kept;
  std::vector<StoredValue> values;
  std::uint64_t values_not_kept = 0;  ///< values that can never be addresses, beyond the first 100
  bool operator==(const ObjectRecord&) const = default;
};

struct Owner {
  SourceId source = 0;
  std::string key = {};
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  std::string reject = {};  ///< what this owner says: empty is accepted
};

/// An Owner whose texts belong to somebody else.
struct OwnerView {
  SourceId source = 0;
  std::string_view key = {};
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  std::string_view reject = {};
};

/// A row of the table in force.
struct RecipientRecord {
  std::string reject;       ///< empty: accepted
  std::uint64_t since = 0;  ///< generation in which it came or last changed
  bool supplied = false;    ///< some source, not only the configuration, accepts it
  /// Who supplied it last: of its accepting owners the one with the lowest source, then key; the
  /// configuration only if no source accepts.
  SourceId source = 0;
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  bool operator==(const RecipientRecord&) const = default;
};

struct DomainRecord {
  std::uint64_t accepted = 0;  ///< rows of this domain that accept, `@domain` included
  std::uint64_t supplied = 0;  ///< of those, supplied by sources
};

struct SourceRecord {
  SourceId id = 0;
  std::string name;
  std::string type;
  bool read_completely = false;  ///< at least once, as it is configured
  std::string server;            ///< that the last complete read came from
  std::uint64_t objects = 0;
  std::uint64_t recipients = 0;  ///< distinct addresses it owns and the rules keep
  std::string cookie;            ///< of the last read that changed something
  bool removed = false;          ///< no longer configured; its objects are being let go
  /// What its reads say is gone waits for a full read that confirms it: they came from another
  /// server than those before, or from one that lags.
  bool unconfirmed = false;
  Digest settings{};           ///< fingerprint of what decides its content; zero: not known
  std::uint64_t accepted = 0;  ///< rows that it supplied last and that accept
  bool operator==(const SourceRecord&) const = default;
};

enum class Operation : std::uint8_t { added = 1, removed = 2, changed = 3 };

/// A row before and after. Who supplied it: as in the row afterwards, or before if it is removed.
struct Change {
  Operation operation = Operation::added;
  std::string address = {};
  std::string reject = {};  ///< afterwards; empty: accepted, or removed
  std::string before = {};  ///< empty: accepted, or added
  SourceId source = 0;
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  bool operator==(const Change&) const = default;
};

/// A Change whose texts belong to somebody else.
struct ChangeView {
  Operation operation = Operation::added;
  std::string_view address = {};
  std::string_view reject = {};
  std::string_view before = {};
  SourceId source = 0;
  recipient::ObjectClass kind = recipient::ObjectClass::other;
};
inline ChangeView view_of(const Change& change) {
  return {change.operation, change.address, change.reject,
          change.before,    change.source,  change.kind};
}

/// Calls the function for one change after the other.
using ChangeStream = std::function<void(const std::function<void(const ChangeView&)>&)>;

enum class Cause : std::uint8_t {
  schedule = 1,
  resync = 2,
  approval = 3,
  rollback = 4,
  configuration = 5,
  start = 6,
  poll = 7,
  notification = 8
};
std::string_view to_string(Cause cause);  ///< schedule, SIGHUP, approval, rollback, configuration,
                                          ///< start, poll, notification

struct Generation {
  std::uint64_t number = 0;
  WallTime time{};
  Cause cause = Cause::schedule;
  std::uint64_t added = 0, removed = 0, changed = 0;
  std::uint64_t total = 0;  ///< rows of the table afterwards that accept
  /// Of the whole table in format `postfix`. Zero: not known yet, which only the newest can be.
  Digest digest;
};

/// Removals that wait for a person or for a source.
struct Hold {
  Digest digest;
  WallTime since{};
  std::uint64_t added = 0;  ///< additions that wait too: only for a first table
  std::uint64_t removed = 0;
  std::string reason;                  ///< one or more, joined by "; "
  std::uint64_t by_configuration = 0;  ///< of the removals
  bool operator==(const Hold&) const = default;
};

/// A removal that is held: the address is in force, but no longer supplied.
struct HeldRecord {
  std::string reject;             ///< that is to replace it; empty: it is to go
  bool by_configuration = false;  ///< a change of the configuration did it, not one of the data
  bool operator==(const HeldRecord&) const = default;
};

/// A held set of removals that an operator rejected.
struct Refusal {
  Digest digest;  ///< of the set, as its Hold had
  WallTime time{};
  std::string by;           ///< who rejected it
  std::uint64_t count = 0;  ///< addresses that it still keeps
  bool operator==(const Refusal&) const = default;
};

struct TargetRecord {
  std::string name;
  std::string
      location;   ///< what the rest is about: host, path, and the settings that decide the bytes
  Digest digest;  ///< recipients table that it was last seen to hold; zero: never
  Digest access_digest;
  std::uint64_t generation = 0;  ///< 0: never
  std::optional<WallTime> last_success;
  std::string last_error;      ///< empty after a success
  std::uint32_t attempts = 0;  ///< failures in a row
  std::optional<WallTime> next_attempt;
  bool judged = false;       ///< its own first table was let through by the guard (or was absent)
  std::optional<Hold> hold;  ///< the first table is held against what the target has
  Digest approved;           ///< hold of its first table that an operator let through; zero: none
};

/// How many recipient::ObjectClass there are.
inline constexpr std::size_t class_count = 6;

struct Meta {
  std::uint32_t schema = 0;
  std::string state_id;         ///< random, names this state
  std::uint64_t hash_seed = 0;  ///< secret, for ObjectHasher
  Digest rules;  ///< fingerprint of the rules that the stored verdicts follow; zero: none yet
  std::uint64_t generation = 0;  ///< current; 0: nothing was ever published
  std::uint64_t accepted = 0;    ///< rows of the table in force that accept
  std::uint64_t supplied = 0;    ///< of those, supplied by sources
  std::uint64_t pinned = 0;      ///< generation that a rollback pinned; 0: none
  std::array<std::uint64_t, class_count>
      classes{};  ///< rows that accept, by recipient::ObjectClass
  bool operator==(const Meta&) const = default;
};

/// A consistent view. Look-ups that find nothing are nullopt or empty; damage is an Error
/// (Errc::damaged). Only valid inside the function it is handed to. Visitors return false to stop;
/// in a transaction they may change other tables, but not the one that they walk.
class View {
 public:
  virtual ~View() = default;
  virtual Result<Meta> meta() = 0;
  virtual Result<std::vector<SourceRecord>> sources() = 0;
  virtual Result<std::optional<ObjectRecord>> object(SourceId source, std::string_view key) = 0;
  virtual Result<> each_object(
      SourceId source,
      const std::function<bool(std::string_view key, const ObjectRecord&)>& visit) = 0;
  /// Without decoding the values: for filling the table of known hashes.
  virtual Result<> each_hash(
      SourceId source,
      const std::function<bool(std::string_view key, const StoredHash&)>& visit) = 0;
  /// Owners of one address, by source and key.
  virtual Result<std::vector<Owner>> owners(std::string_view address) = 0;
  /// Every address that somebody owns, in bytewise order, with its owners.
  virtual Result<> each_owned(
      const std::function<Result<bool>(std::string_view address, const std::vector<Owner>& owners)>&
          visit) = 0;
  virtual Result<std::optional<RecipientRecord>> recipient(std::string_view address) = 0;
  /// In bytewise order.
  virtual Result<> each_recipient(
      const std::function<bool(std::string_view address, const RecipientRecord&)>& visit) = 0;
  virtual Result<std::optional<DomainRecord>> domain(std::string_view domain) = 0;
  virtual Result<std::vector<std::pair<std::string, DomainRecord>>> domains() = 0;
  virtual Result<std::optional<Hold>> hold() = 0;
  /// In bytewise order.
  virtual Result<> each_held(
      const std::function<bool(std::string_view address, const HeldRecord&)>& visit) = 0;
  virtual Result<std::optional<HeldRecord>> held(std::string_view address) = 0;
  /// The refusal that keeps the address.
  virtual Result<std::optional<Digest>> refused(std::string_view address) = 0;
  /// In bytewise order.
  virtual Result<> each_refused(
      const std::function<bool(std::string_view address, const Digest& digest)>& visit) = 0;
  /// By digest.
  virtual Result<std::vector<Refusal>> refusals() = 0;
  /// When the address vanished; nothing if it is not in grace.
  virtual Result<std::optional<WallTime>> grace(std::string_view address) = 0;
  /// In bytewise order.
  virtual Result<> each_grace(
      const std::function<bool(std::string_view address, WallTime gone)>& visit) = 0;
  /// What the table does not follow, in bytewise order: all of it while the table is pinned; else
  /// what was found gone between two polls, which the next poll judges.
  virtual Result<> each_pending(const std::function<bool(const Change&)>& visit) = 0;
  /// The objects that have the address as a value which the rules drop, by source and key.
  virtual Result<std::vector<std::pair<SourceId, std::string>>> mentions(
      std::string_view address) = 0;
  /// Newest first.
  virtual Result<std::vector<Generation>> generations(std::size_t limit) = 0;
  virtual Result<std::optional<Generation>> generation(std::uint64_t number) = 0;
  virtual Result<> each_change(std::uint64_t generation,
                               const std::function<bool(const Change&)>& visit) = 0;
  virtual Result<std::vector<TargetRecord>> targets() = 0;
  virtual Result<std::optional<TargetRecord>> target(std::string_view name) = 0;
  /// What a target would lose by its first table, which is held. In bytewise order.
  virtual Result<> each_loss(std::string_view target,
                             const std::function<bool(std::string_view address)>& visit) = 0;
};

/// The view inside a write transaction: it sees its own changes. put_… replaces.
class Transaction : public View {
 public:
  virtual Result<> put_meta(const Meta& meta) = 0;
  virtual Result<> put_source(const SourceRecord& source) = 0;
  virtual Result<> erase_source(SourceId id) = 0;
  virtual Result<> put_object(SourceId source, std::string_view key,
                              const ObjectRecord& record) = 0;
  virtual Result<> erase_object(SourceId source, std::string_view key) = 0;
  virtual Result<> put_owner(std::string_view address, const OwnerView& owner) = 0;
  virtual Result<> erase_owner(std::string_view address, SourceId source, std::string_view key) = 0;
  virtual Result<> put_recipient(std::string_view address, const RecipientRecord& record) = 0;
  virtual Result<> erase_recipient(std::string_view address) = 0;
  virtual Result<> put_domain(std::string_view domain,
                              const DomainRecord& record) = 0;  ///< all zero: erased
  virtual Result<> put_held(std::string_view address, const HeldRecord& record) = 0;
  virtual Result<> erase_held(std::string_view address) = 0;
  virtual Result<> put_refused(std::string_view address, const Digest& digest) = 0;
  virtual Result<> erase_refused(std::string_view address) = 0;
  virtual Result<> put_refusal(const Refusal& refusal) = 0;
  virtual Result<> erase_refusal(const Digest& digest) = 0;
  virtual Result<> put_grace(std::string_view address, WallTime gone) = 0;
  virtual Result<> erase_grace(std::string_view address) = 0;
  virtual Result<> put_pending(const Change& change) = 0;
  virtual Result<> erase_pending(std::string_view address) = 0;
  virtual Result<> clear_pending() = 0;
  virtual Result<> put_mention(std::string_view address, SourceId source, std::string_view key) = 0;
  virtual Result<> erase_mention(std::string_view address, SourceId source,
                                 std::string_view key) = 0;
  virtual Result<> put_hold(const std::optional<Hold>& hold) = 0;
  /// `changes` sorted by address. Stored in pieces, so a first generation of millions does not need
  /// one huge value.
  virtual Result<> put_generation_from(const Generation& generation,
                                       const ChangeStream& changes) = 0;
  Result<> put_generation(const Generation& generation, const std::vector<Change>& changes);
  /// What the table of a generation that is stored turned out to be.
  virtual Result<> put_digest(std::uint64_t generation, const Digest& digest) = 0;
  /// Forgets generations numbered below `first`.
  virtual Result<> erase_generations_before(std::uint64_t first) = 0;
  virtual Result<> put_target(const TargetRecord& target) = 0;
  virtual Result<> erase_target(std::string_view name) = 0;
  /// All that each_loss() visits from now on; empty: nothing.
  virtual Result<> put_losses(std::string_view target, std::span<const std::string> addresses) = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  /// Runs `body` in one write transaction. `body` returns true to commit, false to leave everything
  /// as it was (nothing is written then), or an error, which does the same and is passed on. It can
  /// be called again from the start when the map had to grow, so it must not keep anything from a
  /// call before.
  virtual Result<bool> write(const std::function<Result<bool>(Transaction&)>& body) = 0;

  /// Runs `body` on one consistent view. Safe from several threads and while write() runs. Neither
  /// body may call write() or read() of the same store: both wait while the map grows, and after a
  /// large write().
  virtual Result<> read(const std::function<Result<>(View&)>& body) = 0;

  /// A consistent copy of the whole state in another existing, empty folder, which open_owner() can
  /// then open (mdb_env_copy2 with MDB_CP_COMPACT, and the marker file). Safe while another process
  /// writes.
  virtual Result<> copy_to(const std::filesystem::path& folder) = 0;
};

struct Options {
  /// First size of the map, in bytes; it doubles when it is full, up to `max_map`, and then a
  /// write() runs again from its start. Address space, not memory or disk: large enough that nobody
  /// gets there, and halved where the limits of the process (RLIMIT_AS) do not allow so much.
  std::uint64_t initial_map = 16ULL << 30;
  std::uint64_t max_map = 1ULL << 40;
};

/// Opens or creates the state as its one writer, and reads all of it once to prove that it is whole
/// (0.5 s for 700 MB). `folder` must exist. Errors: Errc::busy another daemon has it, or this
/// process has it open already, to read or to write; Errc::foreign the file is not ours or of
/// another schema; Errc::damaged, also if there was a state and its file is gone; Errc::no_space;
/// Errc::permission. Each message names the file and the way out.
Result<std::unique_ptr<Store>> open_owner(const std::filesystem::path& folder,
                                          const Options& options = {});

/// Opens an existing state for reading, with or without a running daemon, and creates nothing.
/// write() is Errc::permission. Errors as above, and Errc::not_found if there is no state. Only the
/// list of tables is checked here; records are when they are read.
Result<std::unique_ptr<Store>> open_reader(const std::filesystem::path& folder);

}  // namespace rcptsync::store

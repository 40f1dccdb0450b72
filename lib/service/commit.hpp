// commit — one cycle as one write transaction: what the sources said, what operators ordered, the
// rules, the guard, the new generation.
//
//   object changes ─▶ owners ─▶ touched addresses ─▶ wanted against in force ─▶ guard ─▶ rows,
//   generation
//
// cycle_orders what operators ordered      cycle_removals candidates, the guard's verdict
// cycle_sources what sources said          cycle_rows what becomes of the table
// wanted        what owners want           cycle_marks held, refused, in grace, pending
//
// Nothing here waits, talks to a network or reads a clock; the same code carries out a dry run on a
// copy of the state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "recipient/rules.hpp"
#include "service/cycle_orders.hpp"
#include "service/orders.hpp"
#include "store/store.hpp"
#include "sync/guard.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// What one configured source has to say in this cycle.
struct SourceInput {
  std::string name;
  std::string type;
  bool healthy = false;  ///< its last read was complete, or it was not read since the start
  /// What that read changes. Null: it failed, or the source was not read in this cycle and stands
  /// as its last read left it; the fields below mean nothing then, but `behind`.
  const sync::ObjectChanges* changes = nullptr;
  std::string server;
  std::string cookie;
  bool full = true;         ///< the read named everything; an incremental one confirms nothing
  std::string behind = {};  ///< as source::Complete, of the last complete read
  Digest settings = {};     ///< source::settings_fingerprint() of what it is read with
};

struct CycleInput {
  const recipient::Rules* rules = nullptr;
  const config::Config* config = nullptr;
  std::vector<SourceInput> sources;  ///< every source of the configuration
  store::Cause cause = store::Cause::schedule;
  WallTime now{};
  /// The cycle did not read every source, so what it would remove waits for one that does: an
  /// address may have moved to a source that was not asked, and many small removals one after the
  /// other are one large one to the guard. No grace ends in it either. Orders are carried out all
  /// the same: an operator's word does not depend on what was read.
  bool additions_only = false;
  /// Those that concern the state (approve, reject, rollback, resync), by id. Of an approval only
  /// without a target.
  std::vector<Order> orders = {};
};

/// What the state knows of a configured source after a cycle.
struct SourceState {
  std::string name;
  store::SourceId id = 0;
  std::string cookie;
  bool unconfirmed = false;  ///< as store::SourceRecord
};

/// A value that can never be a recipient, met for the first time or changed.
struct DroppedValue {
  std::string source;
  std::string origin;
  std::string attribute;
  std::string text;
  recipient::Drop drop = recipient::Drop::kept;
};

/// Changes that a table does not follow.
struct PendingCounts {
  std::uint64_t added = 0, removed = 0, changed = 0;
  bool operator==(const PendingCounts&) const = default;
};

struct CycleReport {
  std::vector<SourceState> sources;  ///< as in the input
  /// Set if a new one is in force. Its digest is not known yet: reading the whole table takes
  /// longer than the change of a few rows, and it is the same work as making the targets' tables.
  std::optional<store::Generation> generation;
  std::optional<store::Hold> hold;     ///< what is held after the cycle
  bool hold_is_new = false;            ///< another set of removals than before
  bool hold_ended = false;             ///< something was held before and nothing is any more
  std::uint64_t held_returned = 0;     ///< held before, and accepted by their owners again
  std::uint64_t held_released = 0;     ///< held before, and let go by the guard in this cycle
  std::vector<std::string> reasons;    ///< of the hold
  std::uint64_t accepted = 0;          ///< addresses that the table in force accepts
  std::uint64_t current = 0;           ///< number of the generation in force, 0: none
  std::vector<store::Change> changes;  ///< of the new generation, sorted by address; if asked for
  std::vector<sync::Part> domains;  ///< of the domains that lose something: in force and candidates
  std::uint64_t dropped = 0;        ///< values that cannot be recipients, new in this cycle
  std::vector<DroppedValue> dropped_sample;  ///< the first 20 for each reason
  std::vector<std::string> held;             ///< addresses, only if asked for
  std::vector<OrderResult> orders;           ///< one for each of the input, in its order
  std::uint64_t approved = 0;                ///< removals that orders let go in this cycle
  std::uint64_t refused_total = 0;           ///< addresses that operators' rejections keep
  std::uint64_t in_grace = 0;                ///< addresses whose grace is not over
  std::uint64_t pinned = 0;                  ///< generation that a rollback pinned; 0: none
  PendingCounts pending;                     ///< pinned: what the table would become otherwise
};

/// Carries out the transaction. Without any difference nothing is written, not even a page.
/// `in_full`: fill CycleReport::changes and ::held, for a person who reads a dry run.
Result<CycleReport> commit_cycle(store::Store& store, const CycleInput& input,
                                 bool in_full = false);

}  // namespace rcptsync::service

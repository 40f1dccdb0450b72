// commit — one cycle as one write transaction: what the sources said, the rules, the guard, the new
// generation.
//
//   object changes ─▶ owners ─▶ touched addresses ─▶ wanted against in force ─▶ guard ─▶ rows,
//   generation
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
#include "store/store.hpp"
#include "sync/guard.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// What one configured source has to say in this cycle.
struct SourceInput {
  std::string name;
  std::string type;
  bool healthy = false;  ///< its last read was complete
  /// What that read changes. Null: it failed, or the source was not read in this cycle and stands
  /// as its last read left it; the fields below mean nothing then, but `behind`.
  const sync::ObjectChanges* changes = nullptr;
  std::string server;
  std::string cookie;
  bool full = true;         ///< the read named everything; an incremental one confirms nothing
  std::string behind = {};  ///< as source::Complete, of the last complete read
};

struct CycleInput {
  const recipient::Rules* rules = nullptr;
  const config::Config* config = nullptr;
  std::vector<SourceInput> sources;  ///< every source of the configuration
  store::Cause cause = store::Cause::schedule;
  WallTime now{};
  /// The cycle did not read every source, so what it would remove waits for one that does: an
  /// address may have moved to a source that was not asked, and many small removals one after the
  /// other are one large one to the guard.
  bool additions_only = false;
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

struct CycleReport {
  std::vector<SourceState> sources;  ///< as in the input
  /// Set if a new one is in force. Its digest is not known yet: reading the whole table takes
  /// longer than the change of a few rows, and it is the same work as making the targets' tables.
  std::optional<store::Generation> generation;
  std::optional<store::Hold> hold;     ///< what is held after the cycle
  bool hold_is_new = false;            ///< another set of removals than before
  bool hold_ended = false;             ///< something was held before and nothing is any more
  std::vector<std::string> reasons;    ///< of the hold
  std::uint64_t accepted = 0;          ///< addresses that the table in force accepts
  std::uint64_t current = 0;           ///< number of the generation in force, 0: none
  std::vector<store::Change> changes;  ///< of the new generation, sorted by address; if asked for
  std::vector<sync::Part> domains;  ///< of the domains that lose something: in force and candidates
  std::uint64_t dropped = 0;        ///< values that cannot be recipients, new in this cycle
  std::vector<DroppedValue> dropped_sample;  ///< the first 20 for each reason
  std::vector<std::string> held;             ///< addresses, only if asked for
};

/// Carries out the transaction. Without any difference nothing is written, not even a page.
/// `in_full`: fill CycleReport::changes and ::held, for a person who reads a dry run.
Result<CycleReport> commit_cycle(store::Store& store, const CycleInput& input,
                                 bool in_full = false);

}  // namespace rcptsync::service

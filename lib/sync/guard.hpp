// guard — decides whether removals may be published. Pure: counts in, verdict out.
//
// Additions and changes that accept more are never its business: they flow. Removals go out whole
// or not at all; held removals keep the addresses in the table in force. What an operator approved
// or rejected is not shown to it. (shared contract: docs/GUARD.md)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "config/config.hpp"

namespace rcptsync::sync {

/// An address that stops being accepted: gone, or now with a reject text.
struct RemovalCandidate {
  std::string_view address;  ///< canonical
  std::string_view reject;   ///< the new reject text, or empty if it is gone
  /// It was let go before, and its time of grace is over: no limit counts it, but it waits for ill
  /// sources like all others.
  bool expired = false;
};

/// A part of the table in force, and what would go of it. What goes anyway (approved, expired) is
/// in neither number.
struct Part {
  std::string name;            ///< a domain, a source, a class
  std::uint64_t accepted = 0;  ///< its addresses in the table in force
  std::uint64_t removals = 0;  ///< of those, candidates
  /// Of those, no candidates, but supplied by no source either: in grace, refused, of the
  /// configuration. They do not keep a part from vanishing.
  std::uint64_t unsupplied = 0;
};

struct BehindSource {
  std::string name;
  std::string why;  ///< `dc2 has not yet all that was read from dc1`
};

struct GuardInput {
  std::span<const RemovalCandidate> removals;  ///< sorted by address
  /// Addresses accepted by the table in force, without those that go anyway (approved, expired).
  std::uint64_t accepted = 0;
  // Every part that has candidates.
  std::span<const Part> domains;
  std::span<const Part> sources;   ///< by which source supplied the address last
  std::span<const Part> classes;   ///< users, groups, contacts and public folders, no others
  std::uint64_t supply_after = 0;  ///< addresses that sources would supply after the change
  /// Candidates, expired ones left out, that are such because the configuration changed.
  std::uint64_t by_configuration = 0;
  std::span<const std::string> canaries_lost;  ///< configured canaries that sources supplied in the
                                               ///< table in force and would not any more
  std::span<const std::string>
      canaries_absent;  ///< for a first table: configured canaries that no source supplies
  std::span<const std::string> unread_sources;     ///< never read completely yet
  std::span<const std::string> unhealthy_sources;  ///< their last read failed
  std::span<const std::string>
      unconfirmed_sources;  ///< changed their server; a second full read has to confirm
  std::span<const BehindSource> behind_sources;  ///< their server has not all that was read before
  bool first_table = false;                      ///< nothing was ever published
};

struct GuardVerdict {
  enum class Action {
    publish,             ///< everything
    hold_removals,       ///< additions only, and removals that are expired
    hold_every_removal,  ///< additions only; a source is ill, so expired removals wait as well
    hold_all,            ///< first table: nothing
  };
  Action action = Action::publish;
  std::vector<std::string> reasons;  ///< for a person, each naming the setting and the figures
  Digest digest;                     ///< names exactly the removals that are held; zero: none

  /// True if this candidate has to stay.
  [[nodiscard]] bool holds(const RemovalCandidate& removal) const {
    return action == Action::hold_every_removal ||
           (action == Action::hold_removals && !removal.expired);
  }
};

/// Rules, in this order, each adding its reason: unread, unhealthy, unconfirmed and lagging
/// sources; canaries; min_recipients; max_removals; max_removal_percent of the whole and of each
/// domain and source with 20 recipients or more, a share counting from 10 removals on; a domain, a
/// source or a class that vanishes whole, from 10 removals on. Expired candidates are held by the
/// rules about sources only. A first table is held by unread, unconfirmed and lagging sources,
/// min_recipients and absent canaries only. Without candidates nothing is held except a first
/// table.
GuardVerdict judge(const config::Guard& settings, const GuardInput& input);

/// SHA-256 over the removals: `address` or `address TAB reject`, one line each, in order.
Digest removal_digest(std::span<const RemovalCandidate> removals);

}  // namespace rcptsync::sync

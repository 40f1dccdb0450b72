#include "service/commit.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "recipient/address.hpp"
#include "recipient/table.hpp"
#include "service/ownership.hpp"

namespace rcptsync::service {
namespace {

/// What the rules and the owners want an address to be.
struct Wanted {
  bool listed = false;
  std::string reject;     ///< listed and empty: accepted
  bool supplied = false;  ///< a source accepts it
};

// The order of words on one address: a static reject text beats all; then acceptance by anybody;
// then a source's reject.
Wanted wanted(const std::vector<store::Owner>& owners) {
  Wanted wanted;
  for (const auto& owner : owners) {
    const bool accepts = owner.reject.empty();
    if (owner.source == store::configuration_source) {
      if (!accepts) return {true, owner.reject, false};
      wanted = {true, {}, wanted.supplied};
    } else if (accepts) {
      wanted = {true, {}, true};
    } else if (!wanted.listed) {
      wanted = {true, owner.reject, false};
    }
  }
  return wanted;
}

class Cycle {
 public:
  Cycle(store::Transaction& transaction, const CycleInput& input, bool collect_held)
      : transaction_(transaction),
        input_(input),
        ownership_(transaction, *input.rules),
        collect_held_(collect_held) {}

  /// True if there is something to commit.
  Result<bool> run() {
    if (auto done = open(); !done) return done.error();
    if (auto done = take_sources(); !done) return done.error();
    if (auto done = compare(); !done) return done.error();
    if (auto done = decide(); !done) return done.error();
    if (auto done = close(); !done) return done.error();
    return wrote_ || ownership_.wrote();
  }

  CycleReport report;

 private:
  struct Row {
    std::string address;
    store::RecipientRecord record;
    std::optional<store::RecipientRecord> before;
  };

  struct Candidate {
    std::string address;
    std::string reject;
    auto operator<=>(const Candidate&) const = default;
  };

  Result<> open() {
    auto meta = transaction_.meta();
    if (!meta) return meta.error();
    meta_before_ = meta_ = std::move(*meta);
    auto sources = transaction_.sources();
    if (!sources) return sources.error();
    stored_sources_ = std::move(*sources);
    return {};
  }

  // ---- what the sources said
  // ------------------------------------------------------------------------------------

  Result<> take_sources() {
    const bool rules_changed = meta_.rules != input_.rules->fingerprint();
    if (rules_changed)
      if (auto done = ownership_.apply_configuration(); !done) return done;

    for (const auto& stored : stored_sources_) {
      const bool configured =
          std::any_of(input_.sources.begin(), input_.sources.end(),
                      [&](const SourceInput& source) { return source.name == stored.name; });
      if (!configured)
        if (auto done = ownership_.forget(stored); !done) return done;
    }
    for (const auto& source : input_.sources)
      if (auto done = take_source(source, rules_changed); !done) return done;
    meta_.rules = input_.rules->fingerprint();
    return {};
  }

  Result<> take_source(const SourceInput& input, bool rules_changed) {
    auto record = record_of(input);
    const bool fresh = record.objects == 0;
    if (rules_changed && !fresh)
      if (auto done = ownership_.judge_again(record.id); !done) return done;
    if (!input.healthy) {
      (record.read_completely ? unhealthy_ : unread_).push_back(input.name);
    } else {
      bool lost = false;
      if (auto done = ownership_.apply(record, *input.changes, fresh, lost); !done) return done;
      if (lost && !record.server.empty() && record.server != input.server)
        unconfirmed_.push_back(input.name);
      record.read_completely = true;
      record.server = input.server;
      if (!input.changes->empty()) record.cookie = input.cookie;
    }
    sources_.push_back(std::move(record));
    return {};
  }

  store::SourceRecord record_of(const SourceInput& input) {
    for (const auto& stored : stored_sources_)
      if (stored.name == input.name) {
        auto record = stored;
        record.type = input.type;
        return record;
      }
    store::SourceRecord record;
    for (const auto& stored : stored_sources_) record.id = std::max(record.id, stored.id);
    for (const auto& added : sources_) record.id = std::max(record.id, added.id);
    ++record.id;  // the configuration allows 1000 sources; ids of forgotten ones come free again
    record.name = input.name;
    record.type = input.type;
    return record;
  }

  // ---- wanted against in force
  // ----------------------------------------------------------------------------------

  Result<> compare() {
    const auto held =
        transaction_.each_held([&](std::string_view address, std::string_view reject) {
          held_before_.emplace(address, reject);
          return true;
        });
    if (!held) return held;

    // Before the first table everything that anybody owns is new, not only what this cycle touched.
    // (No rules are known before the first cycle that was written, and that one touches
    // everything.)
    const bool all = meta_.generation == 0 && meta_before_.rules != Digest{};
    std::set<std::string, std::less<>> done;
    auto finished = ownership_.finish(
        [&](const std::string& address, const std::vector<store::Owner>& owners) -> Result<> {
          if (all) return {};
          if (held_before_.contains(address)) done.insert(address);
          return compare_address(address, wanted(owners));
        });
    if (!finished) return finished;

    // What was held before is judged anew in every cycle.
    std::vector<std::string> again;
    for (const auto& [address, reject] : held_before_)
      if (!done.contains(address)) again.push_back(address);
    if (all) {
      for (const auto& source : sources_)
        if (auto collected = ownership_.collect(source.id, again); !collected) return collected;
      if (auto collected = ownership_.collect(store::configuration_source, again); !collected)
        return collected;
      std::sort(again.begin(), again.end());
      again.erase(std::unique(again.begin(), again.end()), again.end());
    }
    for (const auto& address : again) {
      auto owners = transaction_.owners(address);
      if (!owners) return owners.error();
      if (auto compared = compare_address(address, wanted(*owners)); !compared) return compared;
    }
    return {};
  }

  Result<> compare_address(const std::string& address, const Wanted& want) {
    auto found = transaction_.recipient(address);
    if (!found) return found.error();
    const auto& before = *found;
    const bool accepted_before = before && before->reject.empty();
    const bool accepts = want.listed && want.reject.empty();
    if (accepted_before && !accepts) {
      candidates_.push_back({address, want.reject});
      // It stays in force until the guard lets it go, but no source supplies it any more.
      if (before->supplied)
        rows_.push_back({address, {before->reject, before->since, false}, before});
    } else if (want.listed) {
      store::RecipientRecord after{want.reject, before ? before->since : 0, want.supplied};
      if (!before || *before != after) rows_.push_back({address, std::move(after), before});
    } else if (before) {
      rejects_gone_.push_back({address, *before, before});
    }
    return {};
  }

  // ---- the guard
  // ------------------------------------------------------------------------------------------------

  Result<> decide() {
    std::sort(candidates_.begin(), candidates_.end());
    std::vector<sync::RemovalCandidate> removals;
    std::map<std::string, sync::DomainCount, std::less<>> domains;
    for (const auto& candidate : candidates_) {
      removals.push_back({candidate.address, candidate.reject});
      const auto domain = recipient::domain_of(candidate.address);
      auto place = domains.find(domain);
      if (place == domains.end()) {
        auto stored = transaction_.domain(domain);
        if (!stored) return stored.error();
        place = domains
                    .emplace(domain, sync::DomainCount{std::string(domain),
                                                       *stored ? (*stored)->accepted : 0, 0})
                    .first;
      }
      ++place->second.removals;
    }
    for (auto& [name, count] : domains) report.domains.push_back(count);

    auto supply_after = static_cast<std::int64_t>(meta_.supplied);
    for (const auto& row : rows_)
      supply_after += int{row.record.supplied} - int{row.before && row.before->supplied};

    auto missing = canaries_missing();
    if (!missing) return missing.error();

    sync::GuardInput guard;
    guard.removals = removals;
    guard.accepted = meta_.accepted;
    guard.domains = report.domains;
    guard.supply_after = static_cast<std::uint64_t>(std::max<std::int64_t>(0, supply_after));
    guard.first_table = meta_.generation == 0;
    (guard.first_table ? guard.canaries_absent : guard.canaries_lost) = *missing;
    guard.unread_sources = unread_;
    guard.unhealthy_sources = unhealthy_;
    guard.unconfirmed_sources = unconfirmed_;
    const auto verdict = sync::judge(input_.config->guard, guard);
    report.reasons = verdict.reasons;

    switch (verdict.action) {
      case sync::GuardVerdict::Action::publish:
        if (auto done = put_rows(); !done) return done;
        if (auto done = put_removals(); !done) return done;
        return hold({}, std::nullopt);
      case sync::GuardVerdict::Action::hold_removals:
        if (auto done = put_rows(); !done) return done;
        return hold(candidates_,
                    store::Hold{verdict.digest, input_.now, 0, candidates_.size(), {}});
      case sync::GuardVerdict::Action::hold_all:
        return hold({}, store::Hold{first_table_digest(), input_.now, rows_.size(), 0, {}});
    }
    return Error{Errc::internal, "the guard gave no verdict"};
  }

  /// Canaries that no source supplies after this change: for a first table all of them, later those
  /// that the table in force accepts. One that was never there cannot be lost.
  Result<std::vector<std::string>> canaries_missing() {
    std::vector<std::string> missing;
    for (const auto& canary : input_.config->guard.canaries) {
      const auto address = recipient::parse_address(canary).canonical;
      auto found = transaction_.recipient(address);
      if (!found) return found.error();
      bool supplied = *found && (*found)->supplied;
      const bool accepted = *found && (*found)->reject.empty();
      for (const auto& row : rows_)
        if (row.address == address) supplied = row.record.supplied;
      if (!supplied && (accepted || meta_.generation == 0)) missing.push_back(canary);
    }
    return missing;
  }

  Digest first_table_digest() {
    std::sort(rows_.begin(), rows_.end(),
              [](const Row& a, const Row& b) { return a.address < b.address; });
    Sha256 hash;
    for (const auto& row : rows_) {
      hash.update(row.address);
      hash.update(row.record.reject.empty() ? "\n" : "\t" + row.record.reject + "\n");
    }
    return hash.finish();
  }

  // ---- rows
  // -----------------------------------------------------------------------------------------------------

  Result<> put_rows() {
    std::sort(rows_.begin(), rows_.end(),
              [](const Row& a, const Row& b) { return a.address < b.address; });
    for (auto& row : rows_) {
      const bool visible = !row.before || row.before->reject != row.record.reject;
      if (visible) {
        row.record.since = meta_.generation + 1;
        report.changes.push_back({row.before ? store::Operation::changed : store::Operation::added,
                                  row.address, row.record.reject});
      }
      count(row.address, row.before, row.record);
      if (auto put = transaction_.put_recipient(row.address, row.record); !put) return put;
      wrote_ = true;
    }
    for (const auto& row : rejects_gone_) {
      report.changes.push_back({store::Operation::removed, row.address, row.record.reject});
      if (auto erased = transaction_.erase_recipient(row.address); !erased) return erased;
      wrote_ = true;
    }
    return {};
  }

  Result<> put_removals() {
    for (const auto& candidate : candidates_) {
      auto before = transaction_.recipient(candidate.address);
      if (!before) return before.error();
      if (candidate.reject.empty()) {
        count(candidate.address, *before, std::nullopt);
        if (auto erased = transaction_.erase_recipient(candidate.address); !erased) return erased;
        report.changes.push_back({store::Operation::removed, candidate.address, {}});
      } else {
        const store::RecipientRecord after{candidate.reject, meta_.generation + 1, false};
        count(candidate.address, *before, after);
        if (auto put = transaction_.put_recipient(candidate.address, after); !put) return put;
        report.changes.push_back({store::Operation::changed, candidate.address, candidate.reject});
      }
      wrote_ = true;
    }
    return {};
  }

  void count(const std::string& address, const std::optional<store::RecipientRecord>& before,
             const std::optional<store::RecipientRecord>& after) {
    auto& delta = domain_deltas_[std::string(recipient::domain_of(address))];
    const auto add = [&](const store::RecipientRecord& record, int sign) {
      delta.first += record.reject.empty() ? sign : 0;
      delta.second += record.supplied ? sign : 0;
    };
    if (before) add(*before, -1);
    if (after) add(*after, +1);
  }

  Result<> hold(const std::vector<Candidate>& held, std::optional<store::Hold> next) {
    std::map<std::string, std::string, std::less<>> held_after;
    for (const auto& [address, reject] : held) held_after.emplace(address, reject);
    if (held_after != held_before_) {
      for (const auto& [address, reject] : held_before_)
        if (!held_after.contains(address))
          if (auto erased = transaction_.erase_held(address); !erased) return erased;
      for (const auto& [address, reject] : held_after)
        if (auto put = transaction_.put_held(address, reject); !put) return put;
      wrote_ = true;
    }
    auto before = transaction_.hold();
    if (!before) return before.error();
    if (next) {
      for (const auto& reason : report.reasons)
        next->reason += (next->reason.empty() ? "" : "; ") + reason;
      report.hold_is_new = !*before || (*before)->digest != next->digest;
      if (!report.hold_is_new) next->since = (*before)->since;
    }
    report.hold_ended = *before && !next;
    report.hold = next;
    if (collect_held_)
      for (const auto& [address, reject] : held_after) report.held.push_back(address);
    if (*before == next) return {};
    wrote_ = true;
    return transaction_.put_hold(next);
  }

  // ---- the new generation
  // ---------------------------------------------------------------------------------------

  Result<> close() {
    for (const auto& [name, delta] : domain_deltas_) {
      if (delta == std::pair<std::int64_t, std::int64_t>{}) continue;
      auto stored = transaction_.domain(name);
      if (!stored) return stored.error();
      auto record = stored->value_or(store::DomainRecord{});
      record.accepted += static_cast<std::uint64_t>(delta.first);
      record.supplied += static_cast<std::uint64_t>(delta.second);
      meta_.accepted += static_cast<std::uint64_t>(delta.first);
      meta_.supplied += static_cast<std::uint64_t>(delta.second);
      if (auto put = transaction_.put_domain(name, record); !put) return put;
    }
    for (auto& source : sources_) {
      source.recipients += static_cast<std::uint64_t>(ownership_.recipients_gained(source.id));
      if (auto put = put_source_if_changed(source); !put) return put;
    }
    // The first table is a generation even if it is empty, which min_recipients: 0 allows.
    const bool first = meta_.generation == 0 && !report.hold;
    if (!report.changes.empty() || first)
      if (auto done = put_generation(); !done) return done;
    report.current = meta_.generation;
    report.accepted = meta_.accepted;
    report.dropped = ownership_.dropped();
    report.dropped_sample = ownership_.take_sample();
    if (meta_.rules == meta_before_.rules && meta_.generation == meta_before_.generation &&
        meta_.supplied == meta_before_.supplied)
      return {};
    wrote_ = true;
    return transaction_.put_meta(meta_);
  }

  Result<> put_source_if_changed(const store::SourceRecord& source) {
    for (const auto& stored : stored_sources_)
      if (stored.id == source.id && stored.name == source.name && stored.type == source.type &&
          stored.read_completely == source.read_completely && stored.server == source.server &&
          stored.objects == source.objects && stored.recipients == source.recipients &&
          stored.cookie == source.cookie)
        return {};
    wrote_ = true;
    return transaction_.put_source(source);
  }

  Result<> put_generation() {
    auto& changes = report.changes;
    std::sort(changes.begin(), changes.end(),
              [](const store::Change& a, const store::Change& b) { return a.address < b.address; });
    store::Generation generation;
    generation.number = ++meta_.generation;
    generation.time = input_.now;
    generation.cause = input_.cause;
    for (const auto& change : changes) {
      generation.added += change.operation == store::Operation::added;
      generation.removed += change.operation == store::Operation::removed;
      generation.changed += change.operation == store::Operation::changed;
    }
    generation.total = meta_.accepted;
    auto digest = table_digest();
    if (!digest) return digest.error();
    generation.digest = *digest;
    if (auto put = transaction_.put_generation(generation, changes); !put) return put;
    report.generation = generation;
    wrote_ = true;
    return trim_history();
  }

  Result<Digest> table_digest() {
    Result<> visited;
    const recipient::RowStream rows = [&](const std::function<void(const recipient::Row&)>& take) {
      visited = transaction_.each_recipient(
          [&](std::string_view address, const store::RecipientRecord& record) {
            take({address, record.reject});
            return true;
          });
    };
    const auto tables = recipient::make_tables(rows, {});
    if (!visited) return visited.error();
    return tables.recipients.digest;
  }

  // At most history.keep look-ups, and nearly always one: the oldest generation that is kept is
  // young enough.
  Result<> trim_history() {
    const auto& history = input_.config->history;  // the generation in force is always kept
    std::uint64_t first = meta_.generation > history.keep ? meta_.generation - history.keep + 1 : 1;
    const auto oldest_time = input_.now - history.age;
    for (; first < meta_.generation; ++first) {
      auto generation = transaction_.generation(first);
      if (!generation) return generation.error();
      if (*generation && (*generation)->time >= oldest_time) break;
    }
    return transaction_.erase_generations_before(std::min(first, meta_.generation));
  }

  store::Transaction& transaction_;
  const CycleInput& input_;
  Ownership ownership_;
  bool collect_held_;
  bool wrote_ = false;
  store::Meta meta_before_, meta_;
  std::vector<store::SourceRecord> stored_sources_, sources_;
  std::vector<std::string> unread_, unhealthy_, unconfirmed_;
  std::map<std::string, std::string, std::less<>> held_before_;
  std::vector<Candidate> candidates_;
  std::vector<Row> rows_, rejects_gone_;
  std::unordered_map<std::string, std::pair<std::int64_t, std::int64_t>> domain_deltas_;
};

}  // namespace

Result<CycleReport> commit_cycle(store::Store& store, const CycleInput& input, bool collect_held) {
  CycleReport report;
  const auto wrote = store.write([&](store::Transaction& transaction) -> Result<bool> {
    Cycle cycle(transaction, input, collect_held);
    auto something = cycle.run();
    report = std::move(cycle.report);
    return something;
  });
  if (!wrote) return wrote.error();
  return report;
}

}  // namespace rcptsync::service

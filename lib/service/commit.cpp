#include "service/commit.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "base/arena.hpp"
#include "recipient/address.hpp"
#include "service/ownership.hpp"
#include "service/target_tables.hpp"

namespace rcptsync::service {
namespace {

/// What the rules and the owners want an address to be.
struct Wanted {
  bool listed = false;
  std::string_view reject;  ///< listed and empty: accepted
  bool supplied = false;    ///< a source accepts it
};

// The order of words on one address: a static reject text beats all; then acceptance by anybody;
// then a source's reject.
template <class Owners>
Wanted wanted(const Owners& owners) {
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
  Cycle(store::Transaction& transaction, const CycleInput& input, bool in_full)
      : transaction_(transaction),
        input_(input),
        ownership_(transaction, *input.rules),
        in_full_(in_full) {}

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
  /// A row that is new or another one than before. A first table has millions: what few of them
  /// have stands apart.
  struct Row {
    std::string_view address;
    std::uint32_t detail = 0;  ///< its place in details_, or 0: it is new, and accepts
    bool supplied = false;
  };
  struct Detail {
    std::string reject;
    std::optional<store::RecipientRecord> before;
  };

  /// A row with a reject text that nobody owns any more.
  struct Reject {
    std::string address;
    store::RecipientRecord record;
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
    return complete_generation();
  }

  // A daemon that was killed between a commit and its digest: the table is still that generation's.
  Result<> complete_generation() {
    const auto last = transaction_.generation(meta_.generation);
    if (!last) return last.error();
    if (!*last || (*last)->digest != Digest{}) return {};
    const auto digest = table_digest(transaction_);
    if (!digest) return digest.error();
    wrote_ = true;
    return transaction_.put_digest(meta_.generation, *digest);
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
    if (input.healthy && input.changes != nullptr)
      if (auto done = take_read(record, input, fresh); !done) return done;
    if (!record.read_completely)
      unread_.push_back(input.name);
    else if (!input.healthy)
      unhealthy_.push_back(input.name);
    if (record.unconfirmed && input.behind.empty())
      unconfirmed_.push_back(input.name);
    else if (record.unconfirmed)
      behind_.push_back({input.name, input.behind});
    sources_.push_back(std::move(record));
    return {};
  }

  // A server that lags does not know yet what the one before it knew. Either it says so, or the
  // next full read shows whether it still lacks the same. That may be of another server again: two
  // that lack the same are two witnesses, and where servers alternate there is no other second
  // look.
  Result<> take_read(store::SourceRecord& record, const SourceInput& input, bool fresh) {
    bool lost = false;
    if (auto done = ownership_.apply(record, *input.changes, fresh, lost); !done) return done;
    const bool moved = !record.server.empty() && record.server != input.server;
    if (!input.behind.empty() || (moved && lost))
      record.unconfirmed = true;
    else if (input.full)
      record.unconfirmed = false;
    record.read_completely = true;
    record.server = input.server;
    // Of a read that changed nothing only the first cookie is kept here: the others would write the
    // state with every poll.
    if (!input.changes->empty() || record.cookie.empty()) record.cookie = input.cookie;
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
        transaction_.each_held([&](std::string_view address, const store::HeldRecord& record) {
          held_before_.emplace(address, record.reject);
          return true;
        });
    if (!held) return held;

    // Before the first table everything that anybody owns is new, not only what this cycle touched.
    // (No rules are known before the first cycle that was written, and that one touches
    // everything.)
    const bool all = meta_.generation == 0 && meta_before_.rules != Digest{};
    std::set<std::string, std::less<>> done;
    auto finished = ownership_.finish(
        [&](std::string_view address, std::span<const store::OwnerView> owners) -> Result<> {
          if (all) return {};
          if (held_before_.contains(address)) done.emplace(address);
          return compare_address(address, wanted(owners));
        });
    if (!finished) return finished;
    if (all)
      return transaction_.each_owned(
          [&](std::string_view address, const std::vector<store::Owner>& owners) -> Result<bool> {
            if (auto compared = compare_address(texts_.keep(address), wanted(owners)); !compared)
              return compared.error();
            return true;
          });

    // What was held before is judged anew in every cycle.
    for (const auto& [address, reject] : held_before_) {
      if (done.contains(address)) continue;
      auto owners = transaction_.owners(address);
      if (!owners) return owners.error();
      if (auto compared = compare_address(address, wanted(*owners)); !compared) return compared;
    }
    return {};
  }

  /// The address must stay where it is.
  Result<> compare_address(std::string_view address, const Wanted& want) {
    auto found = transaction_.recipient(address);
    if (!found) return found.error();
    const auto& before = *found;
    const bool accepted_before = before && before->reject.empty();
    const bool accepts = want.listed && want.reject.empty();
    if (accepted_before && !accepts) {
      candidates_.push_back({std::string(address), std::string(want.reject)});
      // It stays in force until the guard lets it go, but no source supplies it any more.
      if (before->supplied) add_row(address, before->reject, false, before);
    } else if (want.listed) {
      if (!before || before->reject != want.reject || before->supplied != want.supplied)
        add_row(address, want.reject, want.supplied, before);
    } else if (before) {
      rejects_gone_.push_back({std::string(address), *before});
    }
    return {};
  }

  void add_row(std::string_view address, std::string_view reject, bool supplied,
               const std::optional<store::RecipientRecord>& before) {
    Row row{address, 0, supplied};
    if (before || !reject.empty()) {
      row.detail = static_cast<std::uint32_t>(details_.size());
      details_.push_back({std::string(reject), before});
    }
    rows_.push_back(row);
  }

  // ---- the guard
  // ------------------------------------------------------------------------------------------------

  Result<> decide() {
    const auto by_address = [](const Row& a, const Row& b) { return a.address < b.address; };
    if (!std::is_sorted(rows_.begin(), rows_.end(), by_address))
      std::sort(rows_.begin(), rows_.end(), by_address);
    std::sort(candidates_.begin(), candidates_.end());
    std::vector<sync::RemovalCandidate> removals;
    std::map<std::string, sync::Part, std::less<>> domains;
    for (const auto& candidate : candidates_) {
      removals.push_back({candidate.address, candidate.reject});
      const auto domain = recipient::domain_of(candidate.address);
      auto place = domains.find(domain);
      if (place == domains.end()) {
        auto stored = transaction_.domain(domain);
        if (!stored) return stored.error();
        place = domains
                    .emplace(domain,
                             sync::Part{std::string(domain), *stored ? (*stored)->accepted : 0, 0})
                    .first;
      }
      ++place->second.removals;
    }
    for (auto& [name, count] : domains) report.domains.push_back(count);

    auto supply_after = static_cast<std::int64_t>(meta_.supplied);
    for (const auto& row : rows_) {
      const auto& before = details_[row.detail].before;
      supply_after += int{row.supplied} - int{before && before->supplied};
    }

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
    guard.behind_sources = behind_;
    const auto verdict = sync::judge(input_.config->guard, guard);
    report.reasons = verdict.reasons;

    switch (verdict.action) {
      case sync::GuardVerdict::Action::publish:
        if (auto done = put_rows(); !done) return done;
        if (input_.additions_only && !candidates_.empty()) return wait_for_all_sources();
        if (auto done = put_removals(); !done) return done;
        return hold({}, std::nullopt);
      case sync::GuardVerdict::Action::hold_removals:
      case sync::GuardVerdict::Action::hold_every_removal:
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
      const auto row =
          std::lower_bound(rows_.begin(), rows_.end(), address,
                           [](const Row& a, const auto& name) { return a.address < name; });
      if (row != rows_.end() && row->address == address) supplied = row->supplied;
      if (!supplied && (accepted || meta_.generation == 0)) missing.push_back(canary);
    }
    return missing;
  }

  Digest first_table_digest() {
    Sha256 hash;
    for (const auto& row : rows_) {
      const auto& reject = details_[row.detail].reject;
      hash.update(row.address);
      hash.update(reject.empty() ? "\n" : "\t" + reject + "\n");
    }
    return hash.finish();
  }

  // ---- rows
  // -----------------------------------------------------------------------------------------------------

  Result<> put_rows() {
    store::RecipientRecord record;
    rows_put_ = true;
    for (const auto& row : rows_) {
      const auto& [reject, before] = details_[row.detail];
      record.reject = reject;
      record.supplied = row.supplied;
      record.since = visible(row) ? meta_.generation + 1 : before->since;
      visible_rows_ += visible(row) ? 1 : 0;
      count(row.address, before, record);
      if (auto put = transaction_.put_recipient(row.address, record); !put) return put;
      wrote_ = true;
    }
    for (const auto& row : rejects_gone_) {
      changes_.push_back({store::Operation::removed, row.address, {}, row.record.reject});
      if (auto erased = transaction_.erase_recipient(row.address); !erased) return erased;
      wrote_ = true;
    }
    return {};
  }

  /// True if the row is a change that a person or a target can see.
  [[nodiscard]] bool visible(const Row& row) const {
    const auto& [reject, before] = details_[row.detail];
    return !before || before->reject != reject;
  }

  Result<> put_removals() {
    for (const auto& candidate : candidates_) {
      auto before = transaction_.recipient(candidate.address);
      if (!before) return before.error();
      if (candidate.reject.empty()) {
        count(candidate.address, *before, std::nullopt);
        if (auto erased = transaction_.erase_recipient(candidate.address); !erased) return erased;
        changes_.push_back({store::Operation::removed, candidate.address, {}});
      } else {
        const store::RecipientRecord after{candidate.reject, meta_.generation + 1, false};
        count(candidate.address, *before, after);
        if (auto put = transaction_.put_recipient(candidate.address, after); !put) return put;
        changes_.push_back({store::Operation::changed, candidate.address, candidate.reject});
      }
      wrote_ = true;
    }
    return {};
  }

  void count(std::string_view address, const std::optional<store::RecipientRecord>& before,
             const std::optional<store::RecipientRecord>& after) {
    const auto domain = recipient::domain_of(address);
    auto place = domain_deltas_.find(domain);
    if (place == domain_deltas_.end())
      place = domain_deltas_.emplace(domain, std::pair<std::int64_t, std::int64_t>{}).first;
    auto& delta = place->second;
    const auto add = [&](const store::RecipientRecord& record, int sign) {
      delta.first += record.reject.empty() ? sign : 0;
      delta.second += record.supplied ? sign : 0;
    };
    if (before) add(*before, -1);
    if (after) add(*after, +1);
  }

  // Nobody has to decide anything: the next poll judges what waits as one change. What was held
  // before stays so until then.
  Result<> wait_for_all_sources() {
    auto before = transaction_.hold();
    if (!before) return before.error();
    return hold(candidates_, std::move(*before));
  }

  Result<> hold(const std::vector<Candidate>& held, std::optional<store::Hold> next) {
    std::map<std::string, std::string, std::less<>> held_after;
    for (const auto& [address, reject] : held) held_after.emplace(address, reject);
    if (held_after != held_before_) {
      for (const auto& [address, reject] : held_before_)
        if (!held_after.contains(address))
          if (auto erased = transaction_.erase_held(address); !erased) return erased;
      for (const auto& [address, reject] : held_after)
        if (auto put = transaction_.put_held(address, {reject, false}); !put) return put;
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
    if (in_full_)
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
      report.sources.push_back({source.name, source.id, source.cookie, source.unconfirmed});
    }
    // The first table is a generation even if it is empty, which min_recipients: 0 allows.
    const bool first = meta_.generation == 0 && !report.hold;
    if (!changes_.empty() || visible_rows_ > 0 || first)
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
          stored.cookie == source.cookie && stored.unconfirmed == source.unconfirmed)
        return {};
    wrote_ = true;
    return transaction_.put_source(source);
  }

  /// Every change of the new generation, sorted by address: the rows that were put, and the others
  /// among them. A first table has millions of rows, which are not listed twice.
  void each_change(const std::function<void(const store::ChangeView&)>& take) const {
    auto other = changes_.begin();
    const auto rows = rows_put_ ? rows_.size() : 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const auto& row = rows_[i];
      if (!visible(row)) continue;
      for (; other != changes_.end() && other->address < row.address; ++other) take(*other);
      const auto& [reject, before] = details_[row.detail];
      take({before ? store::Operation::changed : store::Operation::added, row.address, reject,
            before ? std::string_view(before->reject) : std::string_view()});
    }
    for (; other != changes_.end(); ++other) take(*other);
  }

  Result<> put_generation() {
    std::sort(changes_.begin(), changes_.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    store::Generation generation;
    generation.number = ++meta_.generation;
    generation.time = input_.now;
    generation.cause = input_.cause;
    each_change([&](const store::ChangeView& change) {
      generation.added += change.operation == store::Operation::added;
      generation.removed += change.operation == store::Operation::removed;
      generation.changed += change.operation == store::Operation::changed;
      if (in_full_)
        report.changes.push_back({change.operation, std::string(change.address),
                                  std::string(change.reject), std::string(change.before)});
    });
    generation.total = meta_.accepted;
    const store::ChangeStream changes =
        [this](const std::function<void(const store::ChangeView&)>& take) { each_change(take); };
    if (auto put = transaction_.put_generation_from(generation, changes); !put) return put;
    report.generation = generation;
    wrote_ = true;
    return trim_history();
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
  bool in_full_;
  bool wrote_ = false;
  store::Meta meta_before_, meta_;
  std::vector<store::SourceRecord> stored_sources_, sources_;
  std::vector<std::string> unread_, unhealthy_, unconfirmed_;
  std::vector<sync::BehindSource> behind_;
  std::map<std::string, std::string, std::less<>> held_before_;
  std::vector<Candidate> candidates_;
  Arena texts_;
  std::vector<Row> rows_;  ///< sorted by address from decide() on
  std::vector<Detail> details_{Detail{}};
  std::vector<Reject> rejects_gone_;
  bool rows_put_ = false;
  std::uint64_t visible_rows_ = 0;          ///< of those that were put
  std::vector<store::ChangeView> changes_;  ///< of the new generation, but those of rows
  std::map<std::string, std::pair<std::int64_t, std::int64_t>, std::less<>> domain_deltas_;
};

}  // namespace

Result<CycleReport> commit_cycle(store::Store& store, const CycleInput& input, bool in_full) {
  CycleReport report;
  const auto wrote = store.write([&](store::Transaction& transaction) -> Result<bool> {
    Cycle cycle(transaction, input, in_full);
    auto something = cycle.run();
    report = std::move(cycle.report);
    return something;
  });
  if (!wrote) return wrote.error();
  return report;
}

}  // namespace rcptsync::service

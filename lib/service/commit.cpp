#include "service/commit.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "base/arena.hpp"
#include "recipient/address.hpp"
#include "service/cycle_marks.hpp"
#include "service/cycle_removals.hpp"
#include "service/cycle_rows.hpp"
#include "service/cycle_sources.hpp"
#include "service/ownership.hpp"
#include "service/target_tables.hpp"
#include "service/wanted.hpp"

namespace rcptsync::service {
namespace {

// What a target answers while an address is in grace and `removal.answer` is `defer`.
constexpr std::string_view deferral = "450 4.2.1 This recipient is being removed; try again later";

class Cycle {
 public:
  Cycle(store::Transaction& transaction, const CycleInput& input, bool in_full)
      : transaction_(transaction),
        input_(input),
        in_full_(in_full),
        ownership_(transaction, *input.rules),
        sources_(transaction, input, ownership_),
        marks_(transaction),
        orders_(input.orders) {}

  /// True if there is something to commit.
  Result<bool> run() {
    if (auto done = open(); !done) return done.error();
    if (auto done = sources_.take(meta_before_); !done) return done.error();
    if (auto done = orders_.pinned() != 0 ? follow_pinned() : compare_and_decide(); !done)
      return done.error();
    if (auto done = close(); !done) return done.error();
    return wrote_ || ownership_.wrote() || sources_.wrote() || marks_.wrote();
  }

  CycleReport report;

 private:
  /// Why an address is looked at: its owners changed, because of the configuration or of data.
  struct Reason {
    bool configuration = false;
    bool data = false;
    [[nodiscard]] bool only_configuration() const { return configuration && !data; }
  };
  using Visit = std::function<Result<>(std::string_view address, const Wanted& want, Reason why)>;

  Result<> open() {
    auto meta = transaction_.meta();
    if (!meta) return meta.error();
    meta_before_ = meta_ = std::move(*meta);
    if (auto done = marks_.open(); !done) return done;
    if (auto done = orders_.open(transaction_, meta_, marks_, input_.now); !done) return done;
    if (meta_.pinned == 0 || orders_.ends_pin())
      if (auto done = marks_.open_pending(); !done) return done;
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

  // ---- which addresses are looked at
  // ------------------------------------------------------------------------------

  /// Every address whose owners changed, and those of `others`, each once.
  Result<> each_touched(const std::set<std::string, std::less<>>& others, const Visit& visit) {
    std::set<std::string, std::less<>> done;
    auto finished = ownership_.finish([&](const Ownership::Touched& touched) -> Result<> {
      if (others.contains(touched.address)) done.emplace(touched.address);
      return visit(touched.address, wanted(touched.owners), {touched.configuration, touched.data});
    });
    if (!finished) return finished;
    for (const auto& address : others) {
      if (done.contains(address)) continue;
      auto owners = transaction_.owners(address);
      if (!owners) return owners.error();
      if (auto visited = visit(texts_.keep(address), wanted(*owners), {}); !visited) return visited;
    }
    return {};
  }

  /// Before the first table everything that anybody owns is new, not only what this cycle touched.
  Result<> each_owned(const Visit& visit) {
    auto finished = ownership_.finish([](const Ownership::Touched&) -> Result<> { return {}; });
    if (!finished) return finished;
    return transaction_.each_owned(
        [&](std::string_view address, const std::vector<store::Owner>& owners) -> Result<bool> {
          if (auto visited = visit(texts_.keep(address), wanted(owners), {}); !visited)
            return visited.error();
          return true;
        });
  }

  // ---- wanted against in force
  // ----------------------------------------------------------------------------------

  Result<> compare_and_decide() {
    const Visit visit = [this](std::string_view address, const Wanted& want, Reason why) {
      return compare(address, want, why);
    };
    // (No rules are known before the first cycle that was written, and that one touches
    // everything.)
    const bool all = meta_.generation == 0 && meta_before_.rules != Digest{};
    auto compared = all ? each_owned(visit) : each_touched(untouched(), visit);
    if (!compared) return compared;
    return decide();
  }

  /// What is judged anew in every cycle, whatever its owners are.
  std::set<std::string, std::less<>> untouched() const {
    std::set<std::string, std::less<>> addresses;
    for (const auto& [address, record] : marks_.held()) addresses.insert(address);
    for (const auto& [address, gone] : marks_.graces()) addresses.insert(address);
    for (const auto& [address, change] : marks_.pending()) addresses.insert(address);
    for (auto& address : orders_.addresses()) addresses.insert(std::move(address));
    return addresses;
  }

  /// The address must stay where it is.
  Result<> compare(std::string_view address, const Wanted& want, Reason why) {
    auto found = transaction_.recipient(address);
    if (!found) return found.error();
    const auto& row = *found;
    if (want.accepts()) return accept(address, want, row, why);
    if (row && row->reject.empty()) return take_away(address, want, *row, why);
    return compare_rejected(address, want, row, why);
  }

  Result<> accept(std::string_view address, const Wanted& want, const CycleRows::Before& row,
                  Reason why) {
    if (auto done = marks_.end_refusal(address); !done) return done;
    if (auto done = marks_.end_grace(address); !done) return done;
    if (marks_.held().contains(address)) ++report.held_returned;
    if (!row || !row->reject.empty() || row->supplied != want.supplied ||
        row->source != want.source || row->kind != want.kind)
      rows_.put(address, want, row, why.only_configuration());
    return {};
  }

  /// The row accepts, and its owners do not.
  Result<> take_away(std::string_view address, const Wanted& want,
                     const store::RecipientRecord& row, Reason why) {
    const auto refused = marks_.refused(address);
    if (!refused) return refused.error();
    const bool approved = orders_.lets_go(address, want.reject, *refused);
    if (*refused && !approved) return stay(address, row);
    if (const auto* refusal = orders_.refuses(address, want.reject)) {
      if (auto done = marks_.refuse(address, *refusal); !done) return done;
      if (auto done = marks_.end_grace(address); !done) return done;
      return stay(address, row);
    }
    if (auto done = marks_.end_refusal(address); !done) return done;
    // Grace is for what vanished: a text takes effect at once, if the guard lets it.
    if (want.listed)
      if (auto done = marks_.end_grace(address); !done) return done;

    const auto* held = marks_.held(address, want.reject);
    Candidate candidate{std::string(address), std::string(want.reject), row};
    candidate.by_configuration =
        held != nullptr ? held->by_configuration : why.configuration || is_configured(row);
    if (approved) {
      candidate.kind = Candidate::Kind::approved;
    } else if (const auto gone = marks_.grace(address); gone) {
      if (!over(*gone) || (input_.additions_only && held == nullptr))
        return defers() && !over(*gone) ? defer(address, row) : stay(address, row);
      candidate.kind = Candidate::Kind::expired;
    }
    removals_.add(std::move(candidate));
    return {};
  }

  /// Nobody accepts the address, and the table does not either.
  Result<> compare_rejected(std::string_view address, const Wanted& want,
                            const CycleRows::Before& row, Reason why) {
    const auto gone = marks_.grace(address);
    if (want.listed || !row) {
      if (auto done = marks_.end_grace(address); !done) return done;
      if (!want.listed) return {};
      if (row && row->reject == want.reject) return {};
      auto after = want;
      if (row) keep_attribution(after, *row);
      rows_.put(address, after, row, why.only_configuration());
      return {};
    }
    if (gone && !over(*gone)) {
      if (!defers()) rows_.put(address, as_it_was(*row, {}), row, true);
      return {};
    }
    // What is answered 450 goes when its time is over, unless somebody might still have it.
    if (gone && (input_.additions_only || !sources_.well())) return {};
    rows_.erase(address, *row, why.only_configuration());
    return marks_.end_grace(address);
  }

  // ---- one row
  // --------------------------------------------------------------------------------------------------

  /// The same row with another text, and no source that supplies it any more.
  static Wanted as_it_was(const store::RecipientRecord& row, std::string_view reject) {
    return {true, reject, false, row.source, row.kind};
  }

  static void keep_attribution(Wanted& after, const store::RecipientRecord& row) {
    after.source = row.source;
    after.kind = row.kind;
  }

  static bool is_configured(const store::RecipientRecord& row) {
    return row.source == store::configuration_source;
  }

  Result<> stay(std::string_view address, const store::RecipientRecord& row) {
    if (row.supplied) rows_.put(address, as_it_was(row, {}), row);
    return {};
  }

  // In grace and still accepted, while the settings say 450 by now.
  Result<> defer(std::string_view address, const store::RecipientRecord& row) {
    if (input_.additions_only || !sources_.well()) return stay(address, row);
    rows_.put(address, as_it_was(row, deferral), row, true);
    return {};
  }

  [[nodiscard]] bool defers() const {
    return input_.config->removal.answer == config::Removal::Answer::defer;
  }
  [[nodiscard]] bool over(WallTime gone) const {
    return input_.now >= gone + input_.config->removal.grace;
  }

  // ---- the guard
  // ------------------------------------------------------------------------------------------------

  Result<> decide() {
    auto missing = canaries_missing();
    if (!missing) return missing.error();
    Circumstances circumstances;
    circumstances.accepted = meta_.accepted;
    circumstances.classes = meta_.classes;
    circumstances.canaries = std::move(*missing);
    circumstances.first_table = meta_.generation == 0;
    circumstances.supplied = static_cast<std::int64_t>(meta_.supplied) + rows_.supplied_delta();
    for (const auto& candidate : removals_.all())
      circumstances.supplied -= candidate.before.supplied ? 1 : 0;
    auto verdict = removals_.judge(transaction_, input_.config->guard, sources_, circumstances);
    if (!verdict) return verdict.error();
    report.domains = removals_.domains();
    report.reasons = verdict->reasons;
    if (verdict->action == sync::GuardVerdict::Action::hold_all)
      return hold({}, store::Hold{rows_.digest(), input_.now, rows_.size(), 0, joined(), 0});
    if (input_.additions_only) return wait_for_all_sources();

    CycleMarks::HeldRecords held;
    std::uint64_t by_configuration = 0;
    for (const auto& candidate : removals_.all()) {
      if (CycleRemovals::goes(candidate, *verdict)) {
        if (auto done = let_go(candidate); !done) return done;
        continue;
      }
      held.emplace(candidate.address,
                   store::HeldRecord{candidate.reject, candidate.by_configuration});
      by_configuration += candidate.by_configuration ? 1 : 0;
      if (auto done = stay(candidate.address, candidate.before); !done) return done;
    }
    std::optional<store::Hold> next;
    if (!held.empty())
      next = store::Hold{verdict->digest, input_.now, 0, held.size(), joined(), by_configuration};
    return hold(held, std::move(next));
  }

  // Nobody has to decide anything new: the next poll judges what waits as one change. What was held
  // before stays so until then, as far as it is still gone and no operator had a word on it.
  Result<> wait_for_all_sources() {
    report.reasons.clear();
    CycleMarks::HeldRecords held;
    std::vector<sync::RemovalCandidate> digested;
    std::uint64_t by_configuration = 0;
    for (const auto& candidate : removals_.all()) {
      if (candidate.kind == Candidate::Kind::approved) {
        if (auto done = let_go(candidate); !done) return done;
        continue;
      }
      if (auto done = stay(candidate.address, candidate.before); !done) return done;
      if (const auto* before = marks_.held(candidate.address, candidate.reject)) {
        held.emplace(candidate.address, *before);
        digested.push_back({candidate.address, candidate.reject});
        by_configuration += before->by_configuration ? 1 : 0;
      } else if (auto done = marks_.pend(change_of(candidate)); !done) {
        return done;
      }
    }
    auto before = transaction_.hold();
    if (!before) return before.error();
    auto next = std::move(*before);
    if (held.empty() || !next) {
      next.reset();
    } else if (held != marks_.held()) {
      next->digest = sync::removal_digest(digested);
      next->removed = held.size();
      next->by_configuration = by_configuration;
    }
    return hold(held, std::move(next));
  }

  static store::Change change_of(const Candidate& candidate) {
    return {candidate.reject.empty() ? store::Operation::removed : store::Operation::changed,
            candidate.address,
            candidate.reject,
            {},
            candidate.before.source,
            candidate.before.kind};
  }

  Result<> let_go(const Candidate& candidate) {
    const auto& [address, reject, before, kind, by_configuration] = candidate;
    if (kind == Candidate::Kind::approved)
      ++approved_;
    else if (marks_.held().contains(address))
      ++report.held_released;
    const bool known = marks_.grace(address).has_value();
    if (reject.empty() && !known && input_.config->removal.grace.count() > 0) {
      if (auto done = marks_.begin_grace(address, input_.now); !done) return done;
      if (!defers()) return stay(address, before);
      rows_.put(address, as_it_was(before, deferral), before, by_configuration);
      return {};
    }
    if (reject.empty())
      rows_.erase(address, before, by_configuration);
    else
      rows_.put(address, as_it_was(before, reject), before, by_configuration);
    return marks_.end_grace(address);
  }

  /// Canaries that no source supplies after this change: for a first table all of them, later those
  /// that the table in force accepts, without those that an operator or the guard let go before.
  Result<std::vector<std::string>> canaries_missing() {
    std::vector<std::string> missing;
    for (const auto& canary : input_.config->guard.canaries) {
      const auto address = recipient::parse_address(canary).canonical;
      const auto owners = transaction_.owners(address);
      if (!owners) return owners.error();
      if (wanted(*owners).supplied) continue;
      if (meta_.generation == 0) {
        missing.push_back(canary);
        continue;
      }
      const auto row = transaction_.recipient(address);
      if (!row) return row.error();
      const auto refused = marks_.refused(address);
      if (!refused) return refused.error();
      const bool approved = std::any_of(
          removals_.all().begin(), removals_.all().end(), [&](const Candidate& candidate) {
            return candidate.kind == Candidate::Kind::approved && candidate.address == address;
          });
      if (*row && (*row)->reject.empty() && !*refused && !approved && !marks_.grace(address))
        missing.push_back(canary);
    }
    return missing;
  }

  [[nodiscard]] std::string joined() const {
    std::string text;
    for (const auto& reason : report.reasons) text += (text.empty() ? "" : "; ") + reason;
    return text;
  }

  Result<> hold(const CycleMarks::HeldRecords& held, std::optional<store::Hold> next) {
    if (auto done = marks_.replace_held(held); !done) return done;
    auto before = transaction_.hold();
    if (!before) return before.error();
    if (next) {
      report.hold_is_new = !*before || (*before)->digest != next->digest;
      next->since = report.hold_is_new ? input_.now : (*before)->since;
    }
    report.hold_ended = *before && !next;
    report.hold = next;
    if (in_full_)
      for (const auto& [address, record] : held) report.held.push_back(address);
    if (*before == next) return {};
    wrote_ = true;
    return transaction_.put_hold(next);
  }

  // ---- a table that is pinned
  // -----------------------------------------------------------------------------------

  // Nothing that a target can see follows the owners. A rollback changes the rows once.
  Result<> follow_pinned() {
    std::set<std::string, std::less<>> others;
    if (orders_.rollback()) {
      others = untouched();
      for (const auto& [address, change] : *orders_.rollback()) others.insert(address);
      while (!marks_.graces().empty())
        if (auto done = marks_.end_grace(std::string(marks_.graces().begin()->first)); !done)
          return done;
    }
    auto followed = each_touched(
        others, [this](std::string_view address, const Wanted& want, Reason) -> Result<> {
          return follow_pinned(address, want);
        });
    if (!followed) return followed;
    return hold({}, std::nullopt);
  }

  Result<> follow_pinned(std::string_view address, const Wanted& want) {
    if (want.accepts())
      if (auto done = marks_.end_refusal(address); !done) return done;
    const auto refused = marks_.refused(address);
    if (!refused) return refused.error();
    const auto row = transaction_.recipient(address);
    if (!row) return row.error();
    const auto after = pinned_row(address, *row, want);
    if (!after && *row)
      rows_.erase(address, **row);
    else if (after &&
             (!*row || (*row)->reject != after->reject || (*row)->supplied != after->supplied ||
              (*row)->source != after->source || (*row)->kind != after->kind))
      rows_.put(address, *after, *row);

    const bool kept = after && after->accepts() && !want.accepts() && *refused;
    const bool differs = want.listed ? !after || after->reject != want.reject : after.has_value();
    if (!differs || kept) return marks_.unpend(address);
    store::Change change;
    change.operation = !want.listed ? store::Operation::removed
                       : after      ? store::Operation::changed
                                    : store::Operation::added;
    change.address = address;
    change.reject = want.listed ? want.reject : std::string_view();
    change.before = after ? after->reject : std::string_view();
    change.source = want.listed ? want.source : after->source;
    change.kind = want.listed ? want.kind : after->kind;
    return marks_.pend(change);
  }

  /// What the row is to be: as the rollback or the pin says. Who supplies it is no secret of
  /// theirs.
  [[nodiscard]] std::optional<Wanted> pinned_row(std::string_view address,
                                                 const CycleRows::Before& row,
                                                 const Wanted& want) const {
    std::optional<Wanted> after;
    if (row) after = as_it_was(*row, row->reject);
    if (orders_.rollback())
      if (const auto change = orders_.rollback()->find(address);
          change != orders_.rollback()->end()) {
        const auto& [operation, name, reject, before, source, kind] = change->second;
        if (operation == store::Operation::removed)
          after.reset();
        else
          after = Wanted{true, reject, false, sources_.find(source) ? source : SourceId{}, kind};
      }
    if (after && after->accepts() && want.accepts()) after = want;
    return after;
  }

  // ---- the new generation
  // ---------------------------------------------------------------------------------------

  Result<> close() {
    // The first table is a generation even if it is empty, which min_recipients: 0 allows.
    const bool first = meta_.generation == 0 && !report.hold;
    if (meta_.generation > 0 || first)
      if (auto written = rows_.write(transaction_, meta_.generation + 1); !written) return written;
    rows_.count_into(meta_);
    if (auto done = sources_.close(rows_.accepted_by_source(), !marks_.graces().empty()); !done)
      return done;
    if (auto done = marks_.close(orders_.pinned() != 0); !done) return done;
    meta_.pinned = orders_.pinned();
    meta_.rules = input_.rules->fingerprint();
    if (rows_.visible() > 0 || first)
      if (auto done = put_generation(first); !done) return done;
    if (meta_ != meta_before_) {
      wrote_ = true;
      if (auto put = transaction_.put_meta(meta_); !put) return put;
    }
    return tell();
  }

  [[nodiscard]] store::Cause cause(bool first) const {
    if (orders_.rollback()) return store::Cause::rollback;
    if (approved_ > 0) return store::Cause::approval;
    if (orders_.ends_pin()) return store::Cause::resync;
    if (!first && rows_.by_configuration() == rows_.visible()) return store::Cause::configuration;
    return input_.cause;
  }

  Result<> put_generation(bool first) {
    store::Generation generation;
    generation.number = ++meta_.generation;
    generation.time = input_.now;
    generation.cause = cause(first);
    generation.total = meta_.accepted;
    rows_.each_change([&](const store::ChangeView& change) {
      generation.added += change.operation == store::Operation::added;
      generation.removed += change.operation == store::Operation::removed;
      generation.changed += change.operation == store::Operation::changed;
      if (in_full_)
        report.changes.push_back({change.operation, std::string(change.address),
                                  std::string(change.reject), std::string(change.before),
                                  change.source, change.kind});
    });
    const store::ChangeStream changes =
        [this](const std::function<void(const store::ChangeView&)>& take) {
          rows_.each_change(take);
        };
    if (auto put = transaction_.put_generation_from(generation, changes); !put) return put;
    report.generation = generation;
    wrote_ = true;
    return trim_history();
  }

  // At most history.keep look-ups, and nearly always one: the oldest generation that is kept is
  // young enough. The generation in force is always kept, and one that is pinned with all after it.
  Result<> trim_history() {
    const auto& history = input_.config->history;
    std::uint64_t first = meta_.generation > history.keep ? meta_.generation - history.keep + 1 : 1;
    const auto oldest_time = input_.now - history.age;
    for (; first < meta_.generation; ++first) {
      auto generation = transaction_.generation(first);
      if (!generation) return generation.error();
      if (*generation && (*generation)->time >= oldest_time) break;
    }
    first = std::min(first, meta_.generation);
    if (meta_.pinned != 0) first = std::min(first, meta_.pinned);
    return transaction_.erase_generations_before(first);
  }

  Result<> tell() {
    report.sources = sources_.states();
    report.current = meta_.generation;
    report.accepted = meta_.accepted;
    report.dropped = ownership_.dropped();
    report.dropped_sample = ownership_.take_sample();
    report.orders = orders_.results(meta_.generation);
    report.approved = approved_;
    report.refused_total = marks_.refused_total();
    report.in_grace = marks_.graces().size();
    report.pinned = meta_.pinned;
    if (meta_.pinned == 0) return {};
    return transaction_.each_pending([this](const store::Change& change) {
      report.pending.added += change.operation == store::Operation::added;
      report.pending.removed += change.operation == store::Operation::removed;
      report.pending.changed += change.operation == store::Operation::changed;
      return true;
    });
  }

  using SourceId = store::SourceId;

  store::Transaction& transaction_;
  const CycleInput& input_;
  bool in_full_;
  bool wrote_ = false;
  store::Meta meta_before_, meta_;
  Arena texts_;
  Ownership ownership_;
  CycleSources sources_;
  CycleMarks marks_;
  CycleOrders orders_;
  CycleRemovals removals_;
  CycleRows rows_;
  std::uint64_t approved_ = 0;
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

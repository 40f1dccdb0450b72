#include "service/why.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "recipient/address.hpp"
#include "recipient/exclusions.hpp"
#include "recipient/rules.hpp"
#include "recipient/table.hpp"
#include "service/location.hpp"
#include "service/near_misses.hpp"
#include "service/target_tables.hpp"

namespace rcptsync::service {
namespace {

using Verdict = WhyReport::Verdict;
using Match = WhyReport::Match;
using Stay = WhyReport::Stay;
using Holds = WhyReport::Target::Holds;

// Enough for a person; a value that stands in more objects is a mistake that the first ones show.
constexpr std::size_t most_witnesses = 100;

class Inquiry {
 public:
  Inquiry(store::View& view, const config::Config& config, WhyReport& report)
      : view_(view), config_(config), report_(report) {}

  Result<> run() {
    auto parsed = recipient::parse_address(recipient::without_prefix(report_.asked));
    report_.syntax = parsed.drop;
    if (parsed.canonical.empty()) {
      report_.verdict = Verdict::no_address;
      return {};
    }
    report_.address = std::move(parsed.canonical);
    if (auto done = open(); !done) return done;
    if (auto done = find_row(); !done) return done;
    if (auto done = row_ ? describe_row() : explain_absence(); !done) return done;
    return ask_targets();
  }

 private:
  Result<> open() {
    const auto meta = view_.meta();
    if (!meta) return meta.error();
    meta_ = *meta;
    auto sources = view_.sources();
    if (!sources) return sources.error();
    sources_ = std::move(*sources);
    auto hold = view_.hold();
    if (!hold) return hold.error();
    hold_ = std::move(*hold);
    return {};
  }

  // ---- the row
  // --------------------------------------------------------------------------------------------------

  // As Postfix looks: the address, without its extension, then the domain (relay_recipient_maps).
  Result<> find_row() {
    const auto local = recipient::local_of(report_.address);
    const auto domain = recipient::domain_of(report_.address);
    std::vector<std::pair<std::string, Match>> keys{{report_.address, Match::exact}};
    if (const auto plus = local.find('+'); plus != std::string_view::npos && plus > 0)
      keys.emplace_back(fmt::format("{}@{}", local.substr(0, plus), domain), Match::extension);
    keys.emplace_back(fmt::format("@{}", domain), Match::wildcard);
    for (auto& [key, match] : keys) {
      auto found = view_.recipient(key);
      if (!found) return found.error();
      if (!*found) continue;
      row_ = std::move(*found);
      report_.entry = std::move(key);
      report_.match = match;
      return {};
    }
    return {};
  }

  Result<> describe_row() {
    report_.verdict = row_->reject.empty() ? Verdict::listed : Verdict::rejected;
    report_.reject = row_->reject;
    auto since = moment(row_->since);
    if (!since) return since.error();
    report_.since = std::move(*since);
    if (auto done = add_owners(report_.entry); !done) return done;
    return explain_stay();
  }

  /// What keeps a row that its owners would change or let go.
  Result<> explain_stay() {
    const auto held = view_.held(report_.entry);
    if (!held) return held.error();
    if (*held) {
      Stay stay;
      stay.why = Stay::Why::held;
      stay.by_configuration = (*held)->by_configuration;
      if (hold_) {
        stay.digest = hold_->digest;
        stay.since = hold_->since;
        stay.reason = hold_->reason;
      }
      report_.stays.push_back(std::move(stay));
    }
    const auto refused = view_.refused(report_.entry);
    if (!refused) return refused.error();
    if (*refused)
      if (auto done = add_refusal(**refused); !done) return done;
    const auto gone = view_.grace(report_.entry);
    if (!gone) return gone.error();
    if (*gone) {
      Stay stay;
      stay.why = Stay::Why::grace;
      stay.since = **gone;
      stay.until = **gone + config_.removal.grace;
      report_.stays.push_back(std::move(stay));
    }
    return explain_pin(report_.entry);
  }

  Result<> add_refusal(const Digest& digest) {
    const auto refusals = view_.refusals();
    if (!refusals) return refusals.error();
    Stay stay;
    stay.why = Stay::Why::refused;
    stay.digest = digest;
    for (const auto& refusal : *refusals)
      if (refusal.digest == digest) {
        stay.by = refusal.by;
        stay.since = refusal.time;
      }
    report_.stays.push_back(std::move(stay));
    return {};
  }

  Result<> explain_pin(std::string_view address) {
    if (meta_.pinned == 0) return {};
    bool pending = false;
    const auto visited = view_.each_pending([&](const store::Change& change) {
      pending = change.address == address;
      return !pending && change.address < address;
    });
    if (!visited || !pending) return visited;
    Stay stay;
    stay.why = Stay::Why::pinned;
    stay.generation = meta_.pinned;
    report_.stays.push_back(std::move(stay));
    return {};
  }

  // ---- who has it
  // -----------------------------------------------------------------------------------------------

  Result<> add_owners(std::string_view address) {
    const auto owners = view_.owners(address);
    if (!owners) return owners.error();
    for (const auto& owner : *owners)
      if (auto done = add_witnesses(report_.owners, owner.source, owner.key, address, true); !done)
        return done;
    return {};
  }

  /// The values of the object that are the address, kept or dropped by the rules.
  Result<> add_witnesses(std::vector<WhyReport::Witness>& witnesses, store::SourceId source,
                         std::string_view key, std::string_view address, bool kept) {
    if (witnesses.size() >= most_witnesses) return {};
    const auto object = view_.object(source, key);
    if (!object) return object.error();
    if (!*object) return {};
    for (const auto& value : (*object)->values)
      if (value.canonical == address && (value.drop == recipient::Drop::kept) == kept)
        witnesses.push_back(witness(source, **object, value));
    return {};
  }

  WhyReport::Witness witness(store::SourceId source, const store::ObjectRecord& object,
                             const store::StoredValue& value) const {
    WhyReport::Witness witness;
    witness.origin = object.origin;
    witness.kind = object.kind;
    witness.attribute = value.attribute;
    witness.text = value.text;
    witness.reject = value.reject;
    witness.drop = object.drop == recipient::Drop::kept ? value.drop : object.drop;
    for (const auto& record : sources_)
      if (record.id == source) witness.source = record.name;
    if (witness.drop == recipient::Drop::excluded)
      witness.rule = exclusion(value.rule_line);
    else if (source == store::configuration_source)
      witness.rule = {{}, config_.file.native(), value.rule_line};
    else if (object.drop != recipient::Drop::kept)
      witness.rule = source_setting(witness.source);
    return witness;
  }

  /// The exclusion on that line which the address falls under: several files have such a line.
  [[nodiscard]] WhyReport::Rule exclusion(std::uint32_t line) const {
    for (const auto& one : config_.recipients.exclude) {
      if (static_cast<std::uint32_t>(one.line) != line) continue;
      const auto compiled = recipient::Exclusions::compile({one});
      if (!compiled || !compiled->find(report_.address)) continue;
      const auto* const format = one.kind == config::Exclusion::Kind::regex    ? "/{}/"
                                 : one.kind == config::Exclusion::Kind::domain ? "@{}"
                                                                               : "{}";
      return {fmt::format(fmt::runtime(format), one.text), one.file, line};
    }
    return {{}, config_.file.native(), line};
  }

  [[nodiscard]] WhyReport::Rule source_setting(const std::string& name) const {
    for (const auto& source : config_.sources)
      if (source.name == name)
        return {{}, config_.file.native(), static_cast<std::uint32_t>(source.line)};
    return {};
  }

  // ---- nobody
  // ---------------------------------------------------------------------------------------------------

  Result<> explain_absence() {
    auto rules = recipient::Rules::compile(config_.recipients);
    if (!rules) return rules.error();
    std::uint32_t line = 0;
    report_.rule = rules->judge(report_.address, &line);
    if (report_.rule == recipient::Drop::excluded) report_.rule_place = exclusion(line);
    if (auto done = find_vanishing(); !done) return done;
    if (auto done = add_owners(report_.address); !done) return done;
    if (!report_.owners.empty())
      if (auto done = explain_delay(); !done) return done;
    const auto mentions = view_.mentions(report_.address);
    if (!mentions) return mentions.error();
    for (const auto& [source, key] : *mentions)
      if (auto done = add_witnesses(report_.dropped, source, key, report_.address, false); !done)
        return done;
    auto misses = near_misses(view_, config_.recipients, report_.address);
    if (!misses) return misses.error();
    report_.near_misses = std::move(*misses);
    return {};
  }

  /// Somebody supplies it, and still it is not in the table.
  Result<> explain_delay() {
    if (auto done = explain_pin(report_.address); !done) return done;
    if (!report_.stays.empty()) return {};
    Stay stay;
    stay.why = meta_.generation == 0 && hold_ ? Stay::Why::first_table : Stay::Why::waiting;
    if (hold_ && meta_.generation == 0) {
      stay.since = hold_->since;
      stay.reason = hold_->reason;
      stay.digest = hold_->digest;
    }
    report_.stays.push_back(std::move(stay));
    return {};
  }

  // The newest generation that removed the address, among those that are kept.
  Result<> find_vanishing() {
    const auto generations = view_.generations(std::numeric_limits<std::size_t>::max());
    if (!generations) return generations.error();
    for (const auto& generation : *generations) {
      if (generation.removed == 0) continue;
      const auto change = change_in(generation.number, report_.address);
      if (!change) return change.error();
      if (!*change || (*change)->operation != store::Operation::removed) continue;
      report_.vanished = {generation.number, generation.time};
      return {};
    }
    return {};
  }

  Result<std::optional<store::Change>> change_in(std::uint64_t generation,
                                                 std::string_view address) {
    std::optional<store::Change> found;
    const auto visited = view_.each_change(generation, [&](const store::Change& change) {
      if (change.address == address) found = change;
      return change.address < address;  // sorted by address
    });
    if (!visited) return visited.error();
    return found;
  }

  // ---- the targets
  // ----------------------------------------------------------------------------------------------

  Result<> ask_targets() {
    const auto domain = recipient::domain_of(report_.address);
    for (const auto& configured : config_.targets) {
      const auto record = view_.target(configured.name);
      if (!record) return record.error();
      WhyReport::Target target;
      target.name = configured.name;
      if (*record && (*record)->location == location_of(configured)) {
        target.generation = (*record)->generation;
        target.seen = (*record)->last_success;
        target.failing = (*record)->attempts > 0;
      }
      const bool wanted = configured.domains.empty() ||
                          std::ranges::any_of(configured.domains, [&](const std::string& name) {
                            return recipient::canonical_domain(name) == domain;
                          });
      if (!wanted) {
        target.holds = Holds::not_for_it;
      } else if (target.generation > 0) {
        const auto holds = held_at(target.generation);
        if (!holds) return holds.error();
        target.holds = *holds;
        if (*holds == Holds::yes)
          if (auto done = ask_format(configured, target); !done) return done;
      }
      report_.targets.push_back(std::move(target));
    }
    return {};
  }

  /// Whether the table of that generation accepted the entry: what later generations changed of it
  /// is undone.
  Result<Holds> held_at(std::uint64_t generation) {
    const auto& entry = report_.entry.empty() ? report_.address : report_.entry;
    bool accepted = row_ && row_->reject.empty();
    // Nothing changed it since, or it never was there.
    if (row_ && row_->since <= generation) return accepted ? Holds::yes : Holds::no;
    if (!row_ && (!report_.vanished || report_.vanished->generation <= generation))
      return Holds::no;
    for (auto number = meta_.generation; number > generation; --number) {
      const auto kept = view_.generation(number);
      if (!kept) return kept.error();
      if (!*kept) return Holds::unknown;
      const auto change = change_in(number, entry);
      if (!change) return change.error();
      if (*change)
        accepted = (*change)->operation != store::Operation::added && (*change)->before.empty();
    }
    return accepted ? Holds::yes : Holds::no;
  }

  /// An entry that the format of the target's table cannot carry is left out of it: what writes
  /// tables is asked. The domain's row may answer in its place.
  Result<> ask_format(const config::Target& configured, WhyReport::Target& target) {
    auto settings = table_settings(config_, configured);
    settings.digest_only = true;
    const auto& entry = report_.entry.empty() ? report_.address : report_.entry;
    const recipient::RowStream row = [&](const std::function<void(const recipient::Row&)>& take) {
      take({entry, {}});
    };
    if (recipient::make_tables(row, settings).not_carried == 0) return {};
    const auto wildcard = view_.recipient(fmt::format("@{}", recipient::domain_of(entry)));
    if (!wildcard) return wildcard.error();
    const bool answers =
        *wildcard && (*wildcard)->reject.empty() && (*wildcard)->since <= target.generation;
    if (!answers) target.holds = Holds::not_carried;
    return {};
  }

  Result<WhyReport::Moment> moment(std::uint64_t number) {
    const auto generation = view_.generation(number);
    if (!generation) return generation.error();
    WhyReport::Moment moment{number, std::nullopt};
    if (*generation) moment.time = (*generation)->time;
    return moment;
  }

  store::View& view_;
  const config::Config& config_;
  WhyReport& report_;
  store::Meta meta_;
  std::vector<store::SourceRecord> sources_;
  std::optional<store::Hold> hold_;
  std::optional<store::RecipientRecord> row_;
};

}  // namespace

bool WhyReport::held() const {
  return std::ranges::any_of(stays, [](const Stay& stay) { return stay.why == Stay::Why::held; });
}

Result<WhyReport> gather_why(store::View& view, const config::Config& config,
                             std::string_view address) {
  WhyReport report;
  report.asked = address;
  if (auto done = Inquiry(view, config, report).run(); !done) return done.error();
  return report;
}

void ask_sources(WhyReport& report, const config::Config& config, const std::stop_token& stop) {
  const auto address = recipient::without_prefix(report.asked);
  for (const auto& source : config.sources)
    report.live.push_back({source.name, static_cast<std::uint32_t>(source.line),
                           source::ask(source, address, {}, stop)});
}

}  // namespace rcptsync::service

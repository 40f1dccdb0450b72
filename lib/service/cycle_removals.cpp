#include "service/cycle_removals.hpp"

#include <algorithm>
#include <utility>

#include "recipient/address.hpp"

namespace rcptsync::service {
namespace {

/// Counts candidates by what they are parts of. What goes anyway is no part of the whole.
template <class Key>
class Tally {
 public:
  void add(const Key& key, const Candidate& candidate) {
    auto& count = counts_[key];
    ++(candidate.kind == Candidate::Kind::ordinary ? count.removals : count.going);
    if (candidate.before.supplied) ++count.supplied;
  }
  /// A row that stays and that no source supplies. `was_supplied`: until this cycle.
  void add_unsupplied(const Key& key, bool was_supplied) {
    const auto count = counts_.find(key);
    if (count == counts_.end()) return;
    ++count->second.unsupplied;
    if (was_supplied) ++count->second.supplied;
  }
  /// A row that stays and that a source supplies again.
  void add_adopted(const Key& key) {
    if (const auto count = counts_.find(key); count != counts_.end()) ++count->second.adopted;
  }
  [[nodiscard]] std::uint64_t adopted(const Key& key) const {
    const auto count = counts_.find(key);
    return count == counts_.end() ? 0 : count->second.adopted;
  }
  /// Candidates, and others that lose their supply, which sources supplied until this cycle.
  [[nodiscard]] std::uint64_t supplied(const Key& key) const {
    const auto count = counts_.find(key);
    return count == counts_.end() ? 0 : count->second.supplied;
  }
  /// Parts that lose something the guard counts. `describe`: name, accepted rows and, if known,
  /// those that no source supplies after the cycle (candidates among them) of a key; one without a
  /// name is left out.
  template <class Describe>
  Result<std::vector<sync::Part>> parts(const Describe& describe) const {
    std::vector<sync::Part> parts;
    for (const auto& [key, count] : counts_) {
      if (count.removals == 0) continue;
      Result<sync::Part> part = describe(key);
      if (!part) return part.error();
      if (part->name.empty()) continue;
      part->accepted -= std::min(part->accepted, count.going);
      part->removals = count.removals;
      part->unsupplied -= std::min(part->unsupplied, count.removals + count.going);
      part->unsupplied = std::max(part->unsupplied, count.unsupplied);
      parts.push_back(std::move(*part));
    }
    return parts;
  }

 private:
  struct Count {
    std::uint64_t removals = 0, going = 0, supplied = 0, unsupplied = 0, adopted = 0;
  };
  std::map<Key, Count> counts_;
};

// Entries of files and of the configuration have no class that could vanish.
bool watched(recipient::ObjectClass kind) {
  using recipient::ObjectClass;
  return kind == ObjectClass::user || kind == ObjectClass::group || kind == ObjectClass::contact ||
         kind == ObjectClass::public_folder;
}

}  // namespace

Result<> CycleRemovals::count(store::View& view, const CycleSources& sources,
                              const Circumstances& circumstances) {
  Tally<std::string_view> by_domain;
  Tally<store::SourceId> by_source;
  Tally<recipient::ObjectClass> by_class;
  for (const auto& candidate : candidates_) {
    by_domain.add(recipient::domain_of(candidate.address), candidate);
    by_source.add(candidate.before.source, candidate);
    by_class.add(candidate.before.kind, candidate);
  }
  for (const auto& orphan : circumstances.rows.orphans()) {
    by_domain.add_unsupplied(recipient::domain_of(orphan.address), true);
    by_source.add_unsupplied(orphan.source, true);
    by_class.add_unsupplied(orphan.kind, true);
  }
  for (const auto address : circumstances.rows.adopted())
    by_domain.add_adopted(recipient::domain_of(address));
  // A domain knows how many of its rows are supplied; the others have to be looked at.
  const auto count_unsupplied = [&](std::string_view address) -> Result<bool> {
    if (is_candidate(address)) return true;
    const auto row = view.recipient(address);
    if (!row) return row.error();
    if (!*row || !(*row)->reject.empty() || (*row)->supplied) return true;
    by_source.add_unsupplied((*row)->source, false);
    by_class.add_unsupplied((*row)->kind, false);
    return true;
  };
  const bool ordinary = std::ranges::any_of(candidates_, [](const Candidate& candidate) {
    return candidate.kind == Candidate::Kind::ordinary;
  });
  if (ordinary) {
    for (const auto& [address, gone] : circumstances.marks.graces())
      if (auto counted = count_unsupplied(address); !counted) return counted.error();
    std::vector<std::string> refused;
    auto visited = view.each_refused([&](std::string_view address, const Digest&) {
      refused.emplace_back(address);
      return true;
    });
    if (!visited) return visited;
    for (const auto& address : refused)
      if (auto counted = count_unsupplied(address); !counted) return counted.error();
  }
  auto domains = by_domain.parts([&](std::string_view domain) -> Result<sync::Part> {
    const auto stored = view.domain(domain);
    if (!stored) return stored.error();
    const auto record = stored->value_or(store::DomainRecord{});
    const auto left = record.supplied - std::min(record.supplied, by_domain.supplied(domain)) +
                      by_domain.adopted(domain);
    return sync::Part{std::string(domain), record.accepted, 0,
                      record.accepted - std::min(record.accepted, left)};
  });
  if (!domains) return domains.error();
  auto of_sources = by_source.parts([&](store::SourceId id) -> Result<sync::Part> {
    const auto* source = sources.find(id);
    return source == nullptr ? sync::Part{} : sync::Part{source->name, source->accepted, 0};
  });
  auto classes = by_class.parts([&](recipient::ObjectClass kind) -> Result<sync::Part> {
    if (!watched(kind)) return sync::Part{};
    return sync::Part{std::string(recipient::to_string(kind)),
                      circumstances.classes[static_cast<std::size_t>(kind)], 0};
  });
  domains_ = std::move(*domains);
  sources_ = std::move(*of_sources);
  classes_ = std::move(*classes);
  return {};
}

// They are sorted by then.
bool CycleRemovals::is_candidate(std::string_view address) const {
  return std::ranges::binary_search(candidates_, address, {}, [](const Candidate& candidate) {
    return std::string_view(candidate.address);
  });
}

Result<sync::GuardVerdict> CycleRemovals::judge(store::View& view, const config::Guard& settings,
                                                const CycleSources& sources,
                                                const Circumstances& circumstances) {
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.address < b.address; });
  if (auto counted = count(view, sources, circumstances); !counted) return counted.error();

  std::vector<sync::RemovalCandidate> removals;
  std::uint64_t going = 0;
  sync::GuardInput guard;
  for (const auto& candidate : candidates_) {
    const bool expired = candidate.kind == Candidate::Kind::expired;
    if (candidate.kind != Candidate::Kind::approved)
      removals.push_back({candidate.address, candidate.reject, expired});
    if (candidate.kind != Candidate::Kind::ordinary)
      ++going;
    else if (candidate.by_configuration)
      ++guard.by_configuration;
  }
  guard.removals = removals;
  guard.accepted = circumstances.accepted - std::min(circumstances.accepted, going);
  guard.domains = domains_;
  guard.sources = sources_;
  guard.classes = classes_;
  guard.supply_after =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, circumstances.supplied));
  guard.first_table = circumstances.first_table;
  (guard.first_table ? guard.canaries_absent : guard.canaries_lost) = circumstances.canaries;
  sources.show(guard);
  return sync::judge(settings, guard);
}

bool CycleRemovals::goes(const Candidate& candidate, const sync::GuardVerdict& verdict) {
  return candidate.kind == Candidate::Kind::approved ||
         !verdict.holds(
             {candidate.address, candidate.reject, candidate.kind == Candidate::Kind::expired});
}

}  // namespace rcptsync::service

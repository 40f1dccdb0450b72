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
  }
  /// Parts that lose something the guard counts. `describe`: name and accepted rows of a key; one
  /// without a name is left out.
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
      parts.push_back(std::move(*part));
    }
    return parts;
  }

 private:
  struct Count {
    std::uint64_t removals = 0, going = 0;
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
  auto domains = by_domain.parts([&](std::string_view domain) -> Result<sync::Part> {
    const auto stored = view.domain(domain);
    if (!stored) return stored.error();
    return sync::Part{std::string(domain), *stored ? (*stored)->accepted : 0, 0};
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

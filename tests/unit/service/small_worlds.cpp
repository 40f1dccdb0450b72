// Every pair of tables of up to four recipients over two domains and two sources, under every
// setting that can matter at this size (shares and vanishing parts begin at ten removals): what is
// published never lacks a recipient that has to stay.
#include <array>

#include "model.hpp"
#include "service/wanted.hpp"
#include "snapshot.hpp"
#include "sync/guard.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;

namespace {

const std::array<std::string, 4> addresses{"a@one.example", "a@two.example", "b@one.example",
                                           "b@two.example"};

/// Who supplies each address: two bits each, the first for source 1, the second for source 2.
using Supply = unsigned;
constexpr Supply supplies = 256;

unsigned owners_of(Supply supply, std::size_t address) {
  return (supply >> (2 * address)) & 3U;
}

struct Settings {
  std::uint64_t max_removals = 0, min_recipients = 0;
  bool canary = false;  ///< the first address
  bool ill = false;     ///< a source, in the second read
};

std::vector<Settings> all_settings() {
  std::vector<Settings> all;
  for (const std::uint64_t max_removals : {0U, 1U, 2U, 3U, 4U})
    for (const std::uint64_t min_recipients : {0U, 1U, 3U})
      for (const bool canary : {false, true})
        for (const bool ill : {false, true})
          all.push_back({max_removals, min_recipients, canary, ill});
  return all;
}

config::Guard guard_of(const Settings& settings) {
  config::Guard guard;
  guard.max_removals = settings.max_removals;
  guard.min_recipients = settings.min_recipients;
  if (settings.canary) guard.canaries = {addresses[0]};
  return guard;
}

/// In words: when the removals of this pair have to stay.
bool must_stay(Supply before, Supply after, const Settings& settings) {
  std::uint64_t removals = 0, supplied = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    removals += owners_of(before, i) != 0 && owners_of(after, i) == 0;
    supplied += owners_of(after, i) != 0;
  }
  const bool canary_lost = settings.canary && owners_of(before, 0) != 0 && owners_of(after, 0) == 0;
  return settings.ill || canary_lost || supplied < settings.min_recipients ||
         removals > settings.max_removals;
}

/// The table that has to be published, one bit for each address.
unsigned expected(Supply before, Supply after, const Settings& settings) {
  unsigned table = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const bool was = owners_of(before, i) != 0;
    if (owners_of(after, i) != 0 || (was && must_stay(before, after, settings))) table |= 1U << i;
  }
  return table;
}

Wanted want_of(Supply supply, std::size_t address) {
  std::vector<store::OwnerView> owners;
  for (const store::SourceId source : {std::uint16_t{1}, std::uint16_t{2}})
    if ((owners_of(supply, address) & source) != 0)
      owners.push_back({source, "key", recipient::ObjectClass::user, {}});
  return wanted(owners);
}

/// What the guard makes of the pair.
unsigned decided(Supply before, Supply after, const Settings& settings,
                 const config::Guard& guard) {
  static const std::vector<std::string> ill{"one"};
  const std::vector<std::string> lost{addresses[0]};
  std::vector<sync::RemovalCandidate> removals;
  std::map<std::string, sync::Part> domains, sources;
  sync::GuardInput input;
  unsigned table = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto was = want_of(before, i), is = want_of(after, i);
    input.accepted += was.accepts();
    input.supply_after += is.supplied;
    if (is.accepts()) table |= 1U << i;
    const auto domain = addresses[i].substr(2);
    for (auto* part : {&domains[domain], &sources[std::to_string(was.source)]}) {
      part->accepted += was.accepts();
      part->removals += was.accepts() && !is.accepts();
    }
    if (!was.accepts() || is.accepts()) continue;
    removals.push_back({addresses[i], {}});
    if (i == 0 && settings.canary) input.canaries_lost = lost;
  }
  std::vector<sync::Part> by_domain, by_source;
  for (const auto& [name, part] : domains)
    by_domain.push_back({name, part.accepted, part.removals});
  for (const auto& [name, part] : sources)
    by_source.push_back({name, part.accepted, part.removals});
  input.removals = removals;
  input.domains = by_domain;
  input.sources = by_source;
  if (settings.ill) input.unhealthy_sources = ill;
  const auto verdict = sync::judge(guard, input);
  for (std::size_t i = 0, next = 0; i < addresses.size(); ++i)
    if (next < removals.size() && removals[next].address == addresses[i])
      if (verdict.holds(removals[next++])) table |= 1U << i;
  return table;
}

class SmallWorld : public World {
 public:
  SmallWorld() : World(in_memory()) {
    config.guard.min_recipients = 0;
    supply(0);
    cycle();
  }
  void supply(Supply supply) {
    for (const auto& [name, bit] : {std::pair{"one", 1U}, {"two", 2U}}) {
      auto& source = sources[name];
      source.objects.clear();
      for (std::size_t i = 0; i < addresses.size(); ++i)
        if ((owners_of(supply, i) & bit) != 0) source.objects[addresses[i]] = {addresses[i]};
    }
  }
  /// The table after both, and that a next poll with the same words leaves it.
  unsigned published(Supply before, Supply after, const Settings& settings) {
    config.guard = {.max_removals = 4, .min_recipients = 0, .canaries = {}};
    supply(before);
    cycle();
    config.guard = guard_of(settings);
    supply(after);
    cycle();
    unsigned table = 0;
    const Snapshot then(store());
    for (std::size_t i = 0; i < addresses.size(); ++i)
      if (then.table.contains(addresses[i])) table |= 1U << i;
    CHECK(then.counts_agree);
    return table;
  }
};

}  // namespace

TEST_CASE("small worlds: every pair of tables under every setting, by the pure decision") {
  std::uint64_t held = 0;
  for (const auto& settings : all_settings()) {
    const auto guard = guard_of(settings);
    for (Supply before = 0; before < supplies; ++before)
      for (Supply after = 0; after < supplies; ++after) {
        const auto is = decided(before, after, settings, guard);
        const auto must = expected(before, after, settings);
        held += must != expected(before, after, {4, 0, false, false});
        if (is == must) continue;
        CAPTURE(before, after, settings.max_removals, settings.min_recipients, settings.canary,
                settings.ill);
        REQUIRE(is == must);
      }
  }
  CHECK(held > 1'000'000);
}

TEST_CASE("small worlds: a sample of the pairs through the store") {
  SmallWorld world;
  const auto settings = all_settings();
  std::size_t which = 0;
  for (Supply before = 0; before < supplies; before += 3)
    for (Supply after = before % 5; after < supplies; after += 5) {
      auto one = settings[which++ % settings.size()];
      one.ill = false;  // the simulation breaks sources
      CAPTURE(before, after, one.max_removals, one.min_recipients, one.canary);
      REQUIRE(world.published(before, after, one) == expected(before, after, one));
    }
}

// Every small change there is, judged by the guard and by a plain restatement of the rules.
#include <fmt/format.h>

#include "catch.hpp"
#include "sync/guard.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using Action = GuardVerdict::Action;

namespace {

/// A limit in percent as a fraction, so that the restatement needs no floating point.
struct Percent {
  double value;
  std::uint64_t numerator, denominator;
};

/// Two domains or sources; the second may be untouched.
struct World {
  std::uint64_t accepted_a = 0, removals_a = 0, accepted_b = 0, removals_b = 0;
  std::uint64_t supply_after = 0;
  std::uint64_t expired = 0;  ///< more candidates, which nothing else here counts
  bool by_source = false;     ///< the two are sources, not domains
  bool unread = false, unhealthy = false, unconfirmed = false, canary = false, first = false;
};

bool more_than_percent(std::uint64_t removals, std::uint64_t accepted, const Percent& limit) {
  return removals * 100 * limit.denominator > accepted * limit.numerator;
}

Action expected(const World& world, std::uint64_t max_removals, const Percent& percent,
                std::uint64_t min_recipients) {
  const bool too_few = world.supply_after < min_recipients;
  if (world.first)
    return world.unread || world.unconfirmed || too_few || world.canary ? Action::hold_all
                                                                        : Action::publish;
  const auto removals = world.removals_a + world.removals_b;
  if (removals + world.expired == 0) return Action::publish;
  if (world.unread || world.unhealthy || world.unconfirmed) return Action::hold_every_removal;
  if (removals == 0) return Action::publish;
  if (world.canary || too_few) return Action::hold_removals;
  if (removals > max_removals) return Action::hold_removals;
  if (removals >= 10 && more_than_percent(removals, world.accepted_a + world.accepted_b, percent))
    return Action::hold_removals;
  for (const auto& [accepted, gone] : {std::pair{world.accepted_a, world.removals_a},
                                       std::pair{world.accepted_b, world.removals_b}}) {
    if (gone < 10) continue;
    if (gone == accepted) return Action::hold_removals;
    if (accepted >= 20 && more_than_percent(gone, accepted, percent)) return Action::hold_removals;
  }
  return Action::publish;
}

/// Judges worlds; keeps what does not change from one to the next.
class Judge {
 public:
  Judge() {
    for (int i = 0; i < 100; ++i) addresses_.push_back(fmt::format("{:03}@example.com", i));
  }

  GuardVerdict operator()(const World& world, const config::Guard& settings) const {
    std::vector<Part> parts;
    if (world.removals_a > 0) parts.push_back({"a.example", world.accepted_a, world.removals_a});
    if (world.removals_b > 0) parts.push_back({"b.example", world.accepted_b, world.removals_b});
    std::vector<RemovalCandidate> removals;
    for (std::uint64_t i = 0; i < world.removals_a + world.removals_b + world.expired; ++i)
      removals.push_back({addresses_[i], {}, i < world.expired});
    GuardInput input;
    input.removals = removals;
    input.accepted = world.accepted_a + world.accepted_b;
    (world.by_source ? input.sources : input.domains) = parts;
    input.supply_after = world.supply_after;
    if (world.unread) input.unread_sources = name_;
    if (world.unhealthy) input.unhealthy_sources = name_;
    if (world.unconfirmed) input.unconfirmed_sources = name_;
    if (world.canary) (world.first ? input.canaries_absent : input.canaries_lost) = name_;
    input.first_table = world.first;
    return judge(settings, input);
  }

 private:
  std::vector<std::string> addresses_;
  std::vector<std::string> name_{"name"};
};

constexpr Percent percents[] = {{0, 0, 1},   {5, 5, 1},       {12.5, 125, 10},
                                {50, 50, 1}, {99.9, 999, 10}, {100, 100, 1}};

/// Calls `check(world, settings, percent)` and stops at the first that differs.
template <class Visit>
void each_setting(Visit visit) {
  for (const std::uint64_t max_removals : {0, 9, 10, 15, 1000})
    for (const auto& percent : percents)
      for (const std::uint64_t min_recipients : {0, 1, 5})
        visit(config::Guard{.max_removals = max_removals,
                            .max_removal_percent = percent.value,
                            .min_recipients = min_recipients,
                            .canaries = {}},
              percent);
}

void check(const Judge& judge_it, const World& world, const config::Guard& settings,
           const Percent& percent) {
  const auto verdict = judge_it(world, settings);
  const auto want = expected(world, settings.max_removals, percent, settings.min_recipients);
  const bool reasons_fit = verdict.reasons.empty() == (verdict.action == Action::publish);
  if (verdict.action == want && reasons_fit) return;
  INFO("a " << world.removals_a << "/" << world.accepted_a << ", b " << world.removals_b << "/"
            << world.accepted_b << ", supply " << world.supply_after << ", expired "
            << world.expired << ", by source " << world.by_source << ", first " << world.first
            << ", unread " << world.unread << ", unhealthy " << world.unhealthy << ", unconfirmed "
            << world.unconfirmed << ", canary " << world.canary << ", max_removals "
            << settings.max_removals << ", percent " << settings.max_removal_percent
            << ", min_recipients " << settings.min_recipients);
  CHECK(verdict.action == want);
  CHECK(reasons_fit);
  FAIL("the guard and the restatement differ");
}

}  // namespace

TEST_CASE("every small count of removals is judged as the rules say") {
  const Judge judge_it;
  std::uint64_t published = 0, held = 0;
  for (const std::uint64_t accepted_a : {9, 10, 12, 19, 20, 21, 40})
    for (std::uint64_t removals_a = 0; removals_a <= accepted_a; ++removals_a)
      for (const std::uint64_t accepted_b : {0, 10, 25, 500})
        for (const std::uint64_t removals_b : {0, 1, 9, 10, 13, 25})
          if (removals_b <= accepted_b)
            each_setting([&](const config::Guard& settings, const Percent& percent) {
              World world{.accepted_a = accepted_a,
                          .removals_a = removals_a,
                          .accepted_b = accepted_b,
                          .removals_b = removals_b,
                          .supply_after = accepted_a + accepted_b - removals_a - removals_b};
              check(judge_it, world, settings, percent);
              world.by_source = true;
              world.expired = 3;
              check(judge_it, world, settings, percent);
              const bool goes = expected(world, settings.max_removals, percent,
                                         settings.min_recipients) == Action::publish;
              ++(goes ? published : held);
            });
  // Both answers must be common, or the comparison shows little.
  CHECK(published > 10000);
  CHECK(held > 10000);
}

TEST_CASE("every combination of circumstances is judged as the rules say") {
  const Judge judge_it;
  for (unsigned flags = 0; flags < 64; ++flags)
    for (const std::uint64_t removals : {0, 1, 10, 20})
      for (const std::uint64_t supply_after : {0, 1, 4, 5})
        each_setting([&](const config::Guard& settings, const Percent& percent) {
          check(judge_it,
                World{.accepted_a = 20,
                      .removals_a = removals,
                      .supply_after = supply_after,
                      .expired = (flags & 32) != 0 ? 11U : 0U,
                      .unread = (flags & 1) != 0,
                      .unhealthy = (flags & 2) != 0,
                      .unconfirmed = (flags & 4) != 0,
                      .canary = (flags & 8) != 0,
                      .first = (flags & 16) != 0},
                settings, percent);
        });
}

TEST_CASE("counts as large as they can be do not overflow") {
  const std::vector<Part> huge{{"a.example", UINT64_MAX, UINT64_MAX / 20}};
  const std::vector<Part> over{{"a.example", UINT64_MAX, UINT64_MAX / 20 + 1}};
  const std::vector<RemovalCandidate> removals{{"a@a.example", {}}};
  GuardInput input;
  input.removals = removals;
  input.accepted = UINT64_MAX;
  input.supply_after = UINT64_MAX;
  input.domains = huge;
  CHECK(judge({}, input).action == Action::publish);
  input.domains = over;
  CHECK(judge({}, input).action == Action::hold_removals);
}

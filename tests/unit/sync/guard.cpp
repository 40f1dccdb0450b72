// What the guard says, example by example: each rule, its edge, and the words for a person.
#include "sync/guard.hpp"

#include <fmt/format.h>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using Action = GuardVerdict::Action;

namespace {

/// A change in a house with 10000 recipients in one domain that nothing is wrong with.
struct Change {
  std::vector<std::string> addresses;
  std::vector<RemovalCandidate> removals;
  std::vector<Part> domains, sources, classes;
  config::Guard settings;
  GuardInput input;

  explicit Change(std::size_t count, std::uint64_t accepted = 10000) {
    for (std::size_t i = 0; i < count; ++i)
      addresses.push_back(fmt::format("user{:05}@example.com", i));
    for (const auto& address : addresses) removals.push_back({address, {}});
    if (count > 0) domains.push_back({"example.com", accepted, count});
    input.accepted = accepted;
    input.supply_after = accepted - count;
  }

  GuardVerdict verdict() {
    input.removals = removals;
    input.domains = domains;
    input.sources = sources;
    input.classes = classes;
    return judge(settings, input);
  }
};

}  // namespace

TEST_CASE("a usual change is published without a word") {
  const auto verdict = Change(10).verdict();
  CHECK(verdict.action == Action::publish);
  CHECK(verdict.reasons.empty());
  CHECK(verdict.digest == Digest{});  // nothing is held
}

TEST_CASE("max_removals: as many as the setting says pass, one more is held") {
  CHECK(Change(500, 100000).verdict().action == Action::publish);
  const auto verdict = Change(501, 100000).verdict();
  CHECK(verdict.action == Action::hold_removals);
  CHECK(verdict.reasons ==
        std::vector<std::string>{"501 removals are more than guard.max_removals (500)"});

  Change none_allowed(1);
  none_allowed.settings.max_removals = 0;
  CHECK(none_allowed.verdict().reasons ==
        std::vector<std::string>{"1 removal is more than guard.max_removals (0)"});
}

TEST_CASE("max_removal_percent: exactly the share passes, one recipient more is held") {
  CHECK(Change(50, 1000).verdict().action == Action::publish);
  const auto verdict = Change(51, 1000).verdict();
  CHECK(verdict.action == Action::hold_removals);
  CHECK(verdict.reasons ==
        std::vector<std::string>{
            "51 of all 1000 recipients would go (5.1 %), more than guard.max_removal_percent (5)",
            "example.com loses 51 of 1000 recipients (5.1 %), more than guard.max_removal_percent "
            "(5)"});
}

TEST_CASE("a limit is the decimal number of the configuration, not the binary one beside it") {
  // 0.3, 0.7 and 1.1 have no exact binary form: 0.3 is stored as a little less.
  for (const auto& [percent, removals, accepted] : {std::tuple{0.3, 30U, 10000U},
                                                    {0.25, 25U, 10000U},
                                                    {4.125, 33U, 800U},
                                                    {0.7, 70U, 10000U},
                                                    {1.1, 11U, 1000U},
                                                    {0.1, 10U, 10000U},
                                                    {2.3, 23U, 1000U},
                                                    {99.9, 999U, 1000U}}) {
    CAPTURE(percent);
    Change exact(removals, accepted);
    exact.settings = {.max_removals = 100000,
                      .max_removal_percent = percent,
                      .min_recipients = 0,
                      .canaries = {}};
    CHECK(exact.verdict().action == Action::publish);
    Change over(removals, accepted - 1);
    over.settings = exact.settings;
    CHECK(over.verdict().action == Action::hold_removals);
  }
}

TEST_CASE("a share that exceeds its limit is never printed as equal to it") {
  Change change(5001, 100000);
  change.settings.max_removals = 100000;
  const auto verdict = change.verdict();
  REQUIRE_FALSE(verdict.reasons.empty());
  CHECK(verdict.reasons[0] ==
        "5001 of all 100000 recipients would go (5.001 %), more than guard.max_removal_percent "
        "(5)");
}

TEST_CASE("a share counts from ten removals on") {
  CHECK(Change(9, 20).verdict().action == Action::publish);
  CHECK(Change(10, 20).verdict().action == Action::hold_removals);
  CHECK(Change(9, 9).verdict().reasons ==
        std::vector<std::string>{
            "0 recipients would be supplied, fewer than guard.min_recipients (1)"});
}

TEST_CASE("the share of a domain counts from twenty recipients on") {
  Change change(15, 100000);
  change.domains = {{"example.net", 19, 15}};
  CHECK(change.verdict().action == Action::publish);
  change.domains = {{"example.net", 20, 15}};
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"example.net loses 15 of 20 recipients (75.0 %), more than "
                                 "guard.max_removal_percent (5)"});
}

TEST_CASE("a domain that vanishes is held, however small it is and whatever the limits say") {
  Change change(10, 100000);
  change.settings.max_removal_percent = 100;
  change.domains = {{"example.net", 10, 10}};
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"example.net loses all 10 recipients; a domain that vanishes is "
                                 "held from 10 removals on"});
  change.domains = {{"example.net", 9, 9}};
  CHECK(change.verdict().action == Action::publish);
}

TEST_CASE("what no source supplies does not keep a part from vanishing") {
  Change change(12, 100000);
  change.settings.max_removal_percent = 100;
  change.domains = {{"example.net", 15, 12, 2}};
  CHECK(change.verdict().action == Action::publish);
  change.domains = {{"example.net", 14, 12, 2}};
  change.classes = {{"group", 14, 12, 2}};
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{
            "example.net loses all 12 recipients that sources supply; a domain that vanishes is "
            "held from 10 removals on",
            "all 12 recipients of class group that sources supply would go; a class that vanishes "
            "is held from 10 removals on"});
}

TEST_CASE("many domains: the worst twenty are named, the others counted") {
  Change change(100, 100000);
  change.domains.clear();
  for (unsigned i = 0; i < 25; ++i)
    change.domains.push_back({fmt::format("d{:02}.example", i), 100, 10U + i});
  const auto reasons = change.verdict().reasons;
  REQUIRE(reasons.size() == 21);
  CHECK(reasons.front() ==
        "d24.example loses 34 of 100 recipients (34.0 %), more than guard.max_removal_percent (5)");
  CHECK(reasons.back() == "and 5 more domains lose more than guard.max_removal_percent");
}

TEST_CASE("a source is watched like a domain: its share, and that it vanishes") {
  Change change(15, 100000);
  change.sources = {{"corp", 19, 15}};
  CHECK(change.verdict().action == Action::publish);
  change.sources = {{"corp", 20, 15}, {"unix", 9, 9}};
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"source corp loses 15 of 20 recipients (75.0 %), more than "
                                 "guard.max_removal_percent (5)"});
  change.settings.max_removal_percent = 100;
  CHECK(change.verdict().action == Action::publish);
  change.sources = {{"corp", 10, 10}};
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"source corp loses all 10 recipients; a source that vanishes is "
                                 "held from 10 removals on"});
}

TEST_CASE("a class that vanishes is held, its share is not looked at") {
  Change change(15, 100000);
  change.classes = {{"group", 20, 15}};
  CHECK(change.verdict().action == Action::publish);
  change.classes = {{"group", 15, 15}, {"contact", 9, 9}};
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"all 15 recipients of class group would go; a class that vanishes "
                                 "is held from 10 removals on"});
}

TEST_CASE("what is expired is counted by no limit, and goes although the rest is held") {
  Change change(20, 100);
  change.domains.clear();
  change.settings.max_removals = 0;
  for (std::size_t i = 0; i < change.removals.size(); ++i) change.removals[i].expired = i % 4 != 0;
  auto verdict = change.verdict();
  CHECK(verdict.action == Action::hold_removals);
  CHECK(verdict.reasons ==
        std::vector<std::string>{"5 removals are more than guard.max_removals (0)"});
  std::vector<RemovalCandidate> held;
  for (const auto& removal : change.removals)
    if (!removal.expired) held.push_back(removal);
  CHECK(verdict.digest == removal_digest(held));
  CHECK(verdict.holds(held[0]));
  CHECK_FALSE(verdict.holds(change.removals[1]));

  for (auto& removal : change.removals) removal.expired = true;
  change.input.canaries_lost = {};
  change.input.supply_after = 0;
  CHECK(change.verdict().action == Action::publish);
}

TEST_CASE("an ill source holds what is expired as well") {
  const std::vector<std::string> ill{"corp"};
  Change change(3);
  for (auto& removal : change.removals) removal.expired = true;
  SECTION("not read") {
    change.input.unread_sources = ill;
  }
  SECTION("failed") {
    change.input.unhealthy_sources = ill;
  }
  SECTION("not confirmed") {
    change.input.unconfirmed_sources = ill;
  }
  const auto verdict = change.verdict();
  CHECK(verdict.action == Action::hold_every_removal);
  CHECK(verdict.reasons.size() == 1);
  CHECK(verdict.holds(change.removals[0]));
  CHECK(verdict.digest == removal_digest(change.removals));
}

TEST_CASE("a hold says how much of it the configuration did, last and never alone") {
  Change change(600, 100000);
  change.input.by_configuration = 599;
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"600 removals are more than guard.max_removals (500)",
                                 "599 of them by a change of the configuration"});
  change.settings.max_removals = 1000;
  CHECK(change.verdict().action == Action::publish);
}

TEST_CASE("canaries: the lost one is named") {
  Change change(1);
  const std::vector<std::string> lost{"ceo@example.com"};
  change.input.canaries_lost = lost;
  CHECK(change.verdict().reasons ==
        std::vector<std::string>{"guard.canaries ceo@example.com would be lost"});
}

TEST_CASE("sources: removals wait while one is behind, with its reason") {
  Change change(1);
  std::vector<BehindSource> behind{{"corp", "dc2 has not yet all; it was restored\n"}};
  change.input.behind_sources = behind;
  auto verdict = change.verdict();
  CHECK(verdict.action == Action::hold_every_removal);
  CHECK(verdict.reasons == std::vector<std::string>{
                               "removals wait until source is no longer behind: corp (dc2 has not "
                               "yet all, it was restored\\n)"});
  behind.push_back({"other", "dc3 lags"});
  change.input.behind_sources = behind;
  CHECK(change.verdict().reasons.at(0).starts_with(
      "removals wait until sources are no longer behind: corp (dc2 "));
  CHECK(change.verdict().reasons.at(0).ends_with("), other (dc3 lags)"));
  Change nothing(0);
  nothing.input.behind_sources = behind;
  CHECK(nothing.verdict().action == Action::publish);
}

TEST_CASE("sources: removals wait for every one that is unread, unhealthy or unconfirmed") {
  const std::vector<std::string> one{"corp"};
  const std::vector<std::string> two{"corp", "unix"};
  Change change(1);
  change.input.unread_sources = one;
  change.input.unhealthy_sources = two;
  change.input.unconfirmed_sources = one;
  const auto verdict = change.verdict();
  CHECK(verdict.action == Action::hold_every_removal);
  CHECK(verdict.reasons ==
        std::vector<std::string>{
            "source not read completely yet: corp",
            "removals wait for sources whose last read failed: corp, unix",
            "removals wait for a second read of source that changed the server: corp"});
}

TEST_CASE("nothing to remove: nothing is held, whatever else is wrong") {
  const std::vector<std::string> names{"corp"};
  Change change(0);
  change.input.unread_sources = names;
  change.input.unhealthy_sources = names;
  change.input.unconfirmed_sources = names;
  change.input.canaries_lost = names;
  change.input.supply_after = 0;
  const auto verdict = change.verdict();
  CHECK(verdict.action == Action::publish);
  CHECK(verdict.digest == Digest{});
}

TEST_CASE("a first table waits for every source, for min_recipients and for the canaries") {
  const std::vector<std::string> names{"corp"};
  Change change(0);
  change.input.first_table = true;
  change.input.accepted = 0;
  CHECK(change.verdict().action == Action::publish);

  SECTION("an unread source") {
    change.input.unread_sources = names;
  }
  SECTION("a source that changed its server") {
    change.input.unconfirmed_sources = names;
  }
  SECTION("too few recipients") {
    change.input.supply_after = 0;
  }
  SECTION("an absent canary") {
    change.input.canaries_absent = names;
  }
  const auto verdict = change.verdict();
  CHECK(verdict.action == Action::hold_all);
  CHECK(verdict.reasons.size() == 1);
}

TEST_CASE("a first table is not held by rules about removals") {
  const std::vector<std::string> names{"corp"};
  Change change(600, 1000);
  change.input.first_table = true;
  change.input.unhealthy_sources = names;
  change.input.canaries_lost = names;
  CHECK(change.verdict().action == Action::publish);
}

TEST_CASE("names in reasons cannot forge a line") {
  const std::vector<std::string> names{"a\nMESSAGE=all is well"};
  Change change(1);
  change.input.unhealthy_sources = names;
  CHECK(change.verdict().reasons[0].find('\n') == std::string::npos);
}

TEST_CASE("the digest names exactly these removals") {
  // printf 'a@example.com\nb@example.com\t550 5.1.1 gone\n' | sha256sum
  const std::vector<RemovalCandidate> removals{{"a@example.com", {}},
                                               {"b@example.com", "550 5.1.1 gone"}};
  CHECK(removal_digest(removals).hex() ==
        "288ff716d39fe64fd490cba6483a1cdd2c293e694a0e5c358918ed7cef5f9490");
  auto without_text = removals;
  without_text[1].reject = {};
  CHECK(removal_digest(without_text) != removal_digest(removals));
  CHECK(removal_digest(std::span(removals).first(1)) != removal_digest(removals));
}

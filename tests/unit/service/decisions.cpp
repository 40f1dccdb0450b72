// An operator's decisions and the time of grace, example by example; and who is said to have done
// it. The simulation has all of this in any order; here is what each is for.
#include "service/commit.hpp"
#include "snapshot.hpp"
#include "store/ledger.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;
using recipient::ObjectClass;

namespace {

/// A company of which u01 … uNN are in force, and that may lose nobody without a word.
struct Company : World {
  explicit Company(int count = 20) : World(in_memory()) {
    config.guard.max_removals = 0;
    hire(1, count);
    cycle();
  }
  static std::string name(int number) {
    return (number < 10 ? "u0" : "u") + std::to_string(number);
  }
  void hire(int first, int last, const std::string& source = "corp",
            const std::string& domain = "example.com") {
    for (int i = first; i <= last; ++i)
      sources[source].objects[name(i) + domain] = {"SMTP:" + name(i) + "@" + domain};
  }
  void leave(int first, int last, const std::string& source = "corp",
             const std::string& domain = "example.com") {
    for (int i = first; i <= last; ++i) sources[source].objects.erase(name(i) + domain);
  }
  bool accepts(int number) { return accepted().contains(name(number) + "@example.com"); }
  Order by_digest(Order::Kind kind, const Digest& digest) {
    auto one = order(kind);
    one.removals.clear();
    one.digest = digest;
    return one;
  }
  Order rollback(std::uint64_t generation) {
    auto one = order(Order::Kind::rollback);
    one.generation = generation;
    return one;
  }
  std::vector<store::Generation> generations() {
    std::vector<store::Generation> all;
    REQUIRE(store().read([&](store::View& view) -> Result<> {
      all = view.generations(100).value();
      return {};
    }));
    return all;
  }
};

}  // namespace

// ---- approve

TEST_CASE("an approval lets exactly the held set go, also while a source is ill") {
  Company world;
  world.leave(1, 3);
  world.cycle();
  const auto approval = world.order(Order::Kind::approve);
  REQUIRE(approval.removals.size() == 3);
  const auto ill = GENERATE(false, true);
  world.sources["corp"].up = !ill;
  const auto report = world.cycle_with(approval);
  REQUIRE(report.orders.size() == 1);
  CHECK(report.orders[0].ok);
  CHECK(report.orders[0].count == 3);
  CHECK(report.orders[0].message == "3 removals let through");
  CHECK(report.approved == 3);
  REQUIRE(report.generation);
  CHECK(report.generation->cause == store::Cause::approval);
  CHECK(report.generation->removed == 3);
  CHECK(report.hold_ended);
  CHECK_FALSE(world.accepts(1));
  CHECK(world.accepts(4));
  // Carried out twice it changes nothing, and it is not for ever.
  CHECK_FALSE(world.cycle_with(approval).generation);
  world.sources["corp"].up = true;
  world.hire(1, 1);
  world.cycle();
  world.leave(1, 1);
  CHECK(world.cycle().hold);
  CHECK(world.accepts(1));
}

TEST_CASE("what the directory did meanwhile is judged anew") {
  Company world;
  world.leave(1, 3);
  world.cycle();
  const auto approval = world.order(Order::Kind::approve);
  world.hire(2, 2);
  world.leave(7, 7);
  const auto report = world.cycle_with(approval);
  CHECK(report.orders[0].message ==
        "2 removals let through, 1 of the set are no removals any more or were changed");
  CHECK_FALSE(world.accepts(1));
  CHECK(world.accepts(2));
  CHECK_FALSE(world.accepts(3));
  CHECK(world.accepts(7));
  CHECK(report.held == std::vector<std::string>{"u07@example.com"});
  CHECK(report.hold_is_new);

  const auto old = world.cycle_with(approval);
  CHECK_FALSE(old.orders[0].ok);
  CHECK(old.orders[0].message.find("names nothing that is held") != std::string::npos);
  CHECK(world.accepts(7));
}

TEST_CASE("an approval whose set is not that of its digest lets nobody go") {
  Company world;
  world.leave(1, 3);
  world.cycle();
  auto approval = world.order(Order::Kind::approve);
  approval.removals.pop_back();
  CHECK_FALSE(world.cycle_with(approval).orders[0].ok);
  CHECK(world.accepts(1));
}

TEST_CASE("the shares are of what remains without what was approved") {
  Company world(60);
  world.config.guard.max_removals = 10;
  world.config.guard.max_removal_percent = 40;
  world.leave(1, 36);
  world.cycle();
  const auto approval = world.order(Order::Kind::approve);
  // Ten more are 16.7 % of 60, and 41.7 % of the 24 that remain.
  world.leave(37, 46);
  const auto report = world.cycle_with(approval);
  CHECK_FALSE(world.accepts(36));
  REQUIRE(report.hold);
  CHECK(report.hold->removed == 10);
  CHECK(report.reasons ==
        std::vector<std::string>{
            "10 of all 24 recipients would go (41.7 %), more than guard.max_removal_percent (40)",
            "example.com loses 10 of 24 recipients (41.7 %), more than guard.max_removal_percent "
            "(40)",
            "source corp loses 10 of 24 recipients (41.7 %), more than guard.max_removal_percent "
            "(40)"});
}

TEST_CASE("a first table can neither be approved nor rejected") {
  World world(in_memory());
  world.sources["corp"].up = false;
  world.cycle();
  for (const auto kind : {Order::Kind::approve, Order::Kind::reject}) {
    const auto report = world.cycle_with(world.order(kind));
    CHECK_FALSE(report.orders[0].ok);
    CHECK_FALSE(report.generation);
  }
}

// ---- reject

TEST_CASE("what is rejected stays, is in no hold, and ends when the address is back or approved") {
  Company world;
  world.leave(1, 3);
  world.cycle();
  const auto rejection = world.order(Order::Kind::reject);
  auto report = world.cycle_with(rejection);
  CHECK(report.orders[0].ok);
  CHECK(report.orders[0].count == 3);
  CHECK_FALSE(report.hold);
  CHECK(report.refused_total == 3);
  CHECK_FALSE(report.generation);
  world.reopen();

  world.leave(4, 4);  // held without those that are refused
  report = world.cycle();
  CHECK(report.held == std::vector<std::string>{"u04@example.com"});
  world.hire(3, 4);
  CHECK(world.cycle().refused_total == 2);

  // Two of the set are left; its digest still names them.
  report = world.cycle_with(world.by_digest(Order::Kind::approve, rejection.digest));
  CHECK(report.orders[0].message == "2 removals let through");
  CHECK(report.refused_total == 0);
  CHECK_FALSE(world.accepts(1));
  CHECK(world.accepts(3));
  CHECK(Snapshot(world.store()).refusal_counts == 0);
}

TEST_CASE("a canary that was rejected holds nothing else") {
  Company world;
  world.config.guard.canaries = {"u01@example.com"};
  world.config.guard.max_removals = 100;
  world.leave(1, 1);
  world.cycle();
  world.cycle_with(world.order(Order::Kind::reject));
  world.leave(2, 2);
  CHECK_FALSE(world.cycle().hold);
  CHECK(world.accepts(1));
  CHECK_FALSE(world.accepts(2));
}

TEST_CASE("the later of two words on one hold counts") {
  Company world;
  world.leave(1, 3);
  world.cycle();
  const bool approved = GENERATE(false, true);
  world.orders = {world.order(approved ? Order::Kind::reject : Order::Kind::approve),
                  world.order(approved ? Order::Kind::approve : Order::Kind::reject)};
  const auto report = world.cycle();
  CHECK(report.refused_total == (approved ? 0 : 3));
  CHECK(world.accepts(1) == !approved);
}

// ---- between two polls

TEST_CASE("an order is carried out in a cycle that only adds; what else is gone waits") {
  Company world;
  world.leave(1, 3);
  world.cycle();
  const auto approval = world.order(Order::Kind::approve);
  world.leave(4, 5);
  world.ring = true;
  world.config.guard.max_removals = 5;
  auto report = world.cycle_with(approval);
  CHECK(report.generation->removed == 3);
  CHECK_FALSE(report.hold);
  CHECK(world.accepts(4));
  CHECK(Snapshot(world.store()).pending.size() == 2);
  world.ring = false;
  world.config.guard.max_removals = 1;
  report = world.cycle();
  REQUIRE(report.hold);
  CHECK(report.hold->removed == 2);
  CHECK(Snapshot(world.store()).pending.empty());
}

// ---- grace

TEST_CASE("grace keeps what vanished, without a generation, until its time is over") {
  Company world;
  world.config.guard.max_removals = 100;
  world.config.removal.grace = config::Seconds(3600);
  world.leave(1, 2);
  auto report = world.cycle();
  CHECK_FALSE(report.generation);
  CHECK(report.in_grace == 2);
  world.hire(2, 2);
  world.now += std::chrono::minutes(50);
  world.reopen();
  report = world.cycle();
  CHECK(report.in_grace == 1);
  CHECK_FALSE(report.generation);
  world.config.guard.max_removals = 0;  // it was let go before
  world.now += std::chrono::minutes(10);
  report = world.cycle();
  CHECK(report.generation->removed == 1);
  CHECK(report.in_grace == 0);
  CHECK_FALSE(world.accepts(1));
  CHECK(world.accepts(2));
}

TEST_CASE("grace that defers answers 450, and an address that is back is accepted at once") {
  Company world;
  world.config.guard.max_removals = 100;
  world.config.removal = {config::Seconds(3600), config::Removal::Answer::defer};
  world.leave(1, 2);
  auto report = world.cycle();
  CHECK(report.generation->changed == 2);
  CHECK(world.access() ==
        "u01@example.com\t450 4.2.1 This recipient is being removed; try again "
        "later\nu02@example.com\t450 4.2.1 This recipient is being removed; try "
        "again later\n");
  world.hire(2, 2);
  CHECK(world.cycle().generation->changed == 1);
  CHECK(world.accepts(2));
  SECTION("the answer is changed to keep") {
    world.config.removal.answer = config::Removal::Answer::keep;
    report = world.cycle();
    CHECK(report.generation->cause == store::Cause::configuration);
    CHECK(world.accepts(1));
    CHECK(world.access().empty());
  }
  SECTION("the time is over, and a source is ill") {
    world.now += std::chrono::hours(1);
    world.sources["corp"].up = false;
    CHECK_FALSE(world.cycle().generation);
    world.sources["corp"].up = true;
    CHECK(world.cycle().generation->removed == 1);
    CHECK(world.access().empty());
  }
  SECTION("the clock is set back") {
    world.now -= std::chrono::hours(72);
    CHECK_FALSE(world.cycle().generation);
  }
}

TEST_CASE("expired addresses wait for an ill source as a hold, and can be approved") {
  Company world;
  world.config.guard.max_removals = 100;
  world.config.removal.grace = config::Seconds(3600);
  world.leave(1, 1);
  world.cycle();
  world.now += std::chrono::hours(1);
  world.sources["corp"].up = false;
  const auto report = world.cycle();
  REQUIRE(report.hold);
  CHECK(report.hold->removed == 1);
  CHECK(world.cycle_with(world.order(Order::Kind::approve)).generation->removed == 1);
  CHECK_FALSE(world.accepts(1));
}

// ---- rollback

TEST_CASE("a rollback brings back exactly the rows of a generation and pins them") {
  Company world(3);
  world.config.guard.max_removals = 100;
  world.config.guard.min_recipients = 0;
  world.config.recipients.entries = {entry("x@example.com", "550 gone")};
  world.cycle();  // 2
  const auto second = world.table() + world.access();
  world.leave(1, 2);
  world.config.recipients.entries = {entry("y@example.com")};
  world.cycle();  // 3
  world.hire(9, 9);
  world.cycle();  // 4
  const auto fourth = world.table() + world.access();

  const auto order = world.rollback(2);
  auto report = world.cycle_with(order);
  REQUIRE(report.orders[0].ok);
  REQUIRE(report.generation);
  CHECK(report.generation->cause == store::Cause::rollback);
  CHECK(world.table() + world.access() == second);
  CHECK(report.pinned == 2);
  CHECK(report.pending == PendingCounts{2, 3, 0});  // + u09, y; - u01, u02, x
  CHECK_FALSE(world.cycle_with(order).generation);  // carried out twice

  world.reopen();
  world.hire(4, 4);
  report = world.cycle();
  CHECK_FALSE(report.generation);
  CHECK(report.pinned == 2);
  CHECK(report.pending == PendingCounts{3, 3, 0});
  CHECK_FALSE(world.cycle_with(world.order(Order::Kind::approve)).orders[0].ok);
  world.leave(4, 4);
  world.cycle();

  SECTION("a resync returns to what the sources say") {
    report = world.cycle_with(world.order(Order::Kind::resync));
    CHECK(report.orders[0].ok);
    CHECK(report.generation->cause == store::Cause::resync);
    CHECK(world.table() + world.access() == fourth);
    CHECK(report.pinned == 0);
    CHECK(Snapshot(world.store()).pending.empty());
  }
  SECTION("and the guard judges what would go then") {
    world.config.guard.max_removals = 1;
    report = world.cycle_with(world.order(Order::Kind::resync));
    REQUIRE(report.hold);
    CHECK(report.hold->removed == 2);
    CHECK(world.accepts(1));
    CHECK(world.accepts(9));
  }
  SECTION("the pinned generation is kept, whatever the history is") {
    world.config.history.keep = 1;
    CHECK(world.cycle_with(world.rollback(3)).generation);
    CHECK(world.cycle_with(world.rollback(4)).generation);
    CHECK(world.generations().back().number == 4);
    CHECK_FALSE(world.cycle_with(world.rollback(2)).orders[0].ok);
  }
}

TEST_CASE("a rollback ends holds and grace, and leaves rejections") {
  Company world;
  world.leave(1, 1);
  world.cycle();
  world.cycle_with(world.order(Order::Kind::reject));
  world.hire(30, 30);
  world.cycle();
  world.leave(2, 2);
  CHECK(world.cycle().hold);
  const auto report = world.cycle_with(world.rollback(1));
  CHECK(report.hold_ended);
  CHECK(report.refused_total == 1);
  CHECK(report.pending == PendingCounts{1, 1, 0});  // + u30, - u02; u01 was rejected
  world.cycle_with(world.order(Order::Kind::resync));
  CHECK(world.accepts(1));
  CHECK(world.accepts(2));
}

TEST_CASE("a rollback to what is not kept is refused") {
  Company world;
  for (const std::uint64_t generation : {0, 7}) {
    const auto report = world.cycle_with(world.rollback(generation));
    CHECK_FALSE(report.orders[0].ok);
    CHECK(report.pinned == 0);
  }
}

// ---- sources and classes

TEST_CASE("a source is counted by the rows that it supplied last") {
  Company world(30);
  world.config.guard = {};
  world.config.guard.max_removal_percent = 100;
  world.hire(1, 12, "second");   // the first source has them, too
  world.hire(31, 42, "second");  // these it has alone
  world.cycle();
  world.leave(31, 42, "second");
  const auto report = world.cycle();
  CHECK(report.reasons ==
        std::vector<std::string>{"source second loses all 12 recipients; a source that vanishes is "
                                 "held from 10 removals on"});
  // A source that is taken out of the configuration is still named.
  world.sources.erase("second");
  CHECK(world.cycle().reasons.at(0).starts_with("source second loses all 12"));
  CHECK(Snapshot(world.store()).counts_agree);
  world.cycle_with(world.order(Order::Kind::approve));
  REQUIRE(world.store().read([](store::View& view) -> Result<> {
    CHECK(view.sources()->size() == 1);  // known as long as it has rows
    return {};
  }));
}

TEST_CASE("a class that vanishes is held") {
  Company world(30);
  world.config.guard = {};
  world.config.guard.max_removal_percent = 100;
  world.hire(31, 42);
  for (int i = 31; i <= 42; ++i)
    world.sources["corp"].classes[Company::name(i) + "example.com"] = ObjectClass::contact;
  world.cycle();
  world.leave(31, 42);
  CHECK(world.cycle().reasons ==
        std::vector<std::string>{"all 12 recipients of class contact would go; a class that "
                                 "vanishes is held from 10 removals on"});
}

// ---- configuration or data

TEST_CASE("what no source supplies keeps nothing from vanishing") {
  Company world(20);
  world.config.guard.max_removal_percent = 100;
  const auto why = [](const CycleReport& report) {
    return report.hold ? report.hold->reason : std::string();
  };
  SECTION("addresses of the configuration in a domain") {
    world.config.guard.max_removals = 100;
    world.hire(1, 12, "corp", "example.net");
    world.config.recipients.entries = {entry("abuse@example.net"), entry("u12@example.net")};
    world.cycle();
    world.leave(1, 11, "corp", "example.net");
    SECTION("one is left") {
      CHECK(why(world.cycle()).empty());
    }
    SECTION("none is left") {
      world.leave(12, 12, "corp", "example.net");
      CHECK(why(world.cycle()) ==
            "example.net loses all 11 recipients that sources supply; a domain that vanishes is "
            "held from 10 removals on");
    }
  }
  SECTION("what was refused, in a class and a source") {
    world.config.guard.min_recipients = 0;
    world.leave(1, 1);
    world.cycle();
    world.cycle_with(world.order(Order::Kind::reject));
    world.config.guard.max_removals = 100;
    world.leave(2, 20);
    CHECK(why(world.cycle()) ==
          "example.com loses all 19 recipients that sources supply; a domain that vanishes is held "
          "from 10 removals on; source corp loses all 19 recipients that sources supply; a source "
          "that vanishes is held from 10 removals on; all 19 recipients of class user that sources "
          "supply would go; a class that vanishes is held from 10 removals on");
  }
  SECTION("what is in grace") {
    world.config.guard.max_removals = 1;
    world.config.guard.min_recipients = 0;
    world.config.removal.grace = std::chrono::hours(1);
    world.leave(1, 1);
    CHECK(why(world.cycle()).empty());
    world.config.guard.max_removals = 100;
    world.leave(2, 20);
    const auto reason = why(world.cycle());
    CHECK(reason.find("source corp loses all 19 recipients") != std::string::npos);
    CHECK(reason.find("all 19 recipients of class user") != std::string::npos);
  }
}

TEST_CASE("a hold says how much of it the configuration did") {
  Company world(5);
  world.hire(1, 2, "second", "example.net");
  world.config.recipients.entries = {entry("by-hand@example.com")};
  world.cycle();
  std::uint64_t by_configuration = 0, all = 0;
  world.leave(1, 1);
  SECTION("nothing") {
    by_configuration = 0, all = 1;
  }
  SECTION("the rules") {
    world.config.recipients.domains = {"example.com"};
    by_configuration = 2, all = 3;
  }
  SECTION("the list of sources") {
    world.sources.erase("second");
    by_configuration = 2, all = 3;
  }
  SECTION("the settings of a source") {
    world.sources["second"].objects.clear();
    world.sources["second"].settings = "another filter";
    by_configuration = 2, all = 3;
  }
  SECTION("an entry of its own") {
    world.config.recipients.entries.clear();
    by_configuration = 1, all = 2;
  }
  for (int poll = 0; poll < 2; ++poll) {  // and it is remembered
    const auto report = world.cycle();
    REQUIRE(report.hold);
    CHECK(report.hold->removed == all);
    CHECK(report.hold->by_configuration == by_configuration);
    const auto last =
        std::to_string(by_configuration) + " of them by a change of the configuration";
    CHECK((report.reasons.back() == last) == (by_configuration > 0));
    world.reopen();
  }
}

TEST_CASE("a generation that only the configuration made says so") {
  Company world(5);
  world.config.recipients.entries = {entry("by-hand@example.com")};
  CHECK(world.cycle().generation->cause == store::Cause::configuration);
  world.config.recipients.entries.clear();
  world.config.guard.max_removals = 5;
  world.leave(1, 1);
  CHECK(world.cycle().generation->cause == store::Cause::schedule);
}

// ---- what the rules drop

TEST_CASE("values that the rules drop can be found by their address, as long as they are there") {
  World world(in_memory());
  world.sources["corp"].objects["a"] = {"SMTP:A@other.example", "smtp:a@example.com"};
  world.config.recipients.domains = {"example.com"};
  world.cycle();
  const auto mentions = [&](const std::string& address) {
    std::size_t count = 0;
    REQUIRE(world.store().read([&](store::View& view) -> Result<> {
      count = view.mentions(address)->size();
      return {};
    }));
    return count;
  };
  CHECK(mentions("a@other.example") == 1);
  CHECK(mentions("a@example.com") == 0);
  world.sources["corp"].objects["b"] = {"smtp:a@other.example"};
  world.cycle();
  CHECK(mentions("a@other.example") == 2);
  SECTION("the rules change") {
    world.config.recipients.domains = {"other.example"};
    world.cycle();
    CHECK(mentions("a@other.example") == 0);
    CHECK(mentions("a@example.com") == 1);
  }
  SECTION("objects change and go") {
    world.sources["corp"].objects["a"] = {"smtp:a@example.com"};
    world.sources["corp"].objects.erase("b");
    world.cycle();
    CHECK(mentions("a@other.example") == 0);
  }
  SECTION("the source goes") {
    world.sources.erase("corp");
    world.cycle();
    CHECK(mentions("a@other.example") == 0);
  }
}

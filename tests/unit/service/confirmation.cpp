// When what a source says is gone is believed: changes of server, servers that lag, cycles that do
// not read it.
#include "service/commit.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;

namespace {

/// A company of three on dc1, published.
struct Company : World {
  Company() {
    for (const auto* name : {"ada", "bob", "cyd"}) hire(name);
    cycle();
  }
  FakeSource& corp() { return sources["corp"]; }
  void hire(const std::string& name) { corp().objects[name] = {"SMTP:" + name + "@example.com"}; }
  void leave(const std::string& name) { corp().objects.erase(name); }
  bool accepts(const std::string& name) { return accepted().contains(name + "@example.com"); }
};

bool unconfirmed(const CycleReport& report) {
  return report.sources.at(0).unconfirmed;
}

}  // namespace

TEST_CASE(
    "removals after a change of server wait for a full read, however many others come first") {
  Company world;
  world.corp().server = "dc2";
  world.leave("ada");
  auto report = world.cycle();
  CHECK(unconfirmed(report));
  REQUIRE(report.hold);
  CHECK(report.hold->reason.find("changed the server: corp") != std::string::npos);

  world.corp().full = false;  // says nothing of ada, and so confirms nothing
  CHECK(unconfirmed(world.cycle()));
  world.corp().read = false;
  CHECK(unconfirmed(world.cycle()));
  world.reopen();
  CHECK(unconfirmed(world.cycle()));
  CHECK(world.accepts("ada"));

  world.corp().read = world.corp().full = true;
  report = world.cycle();
  CHECK_FALSE(unconfirmed(report));
  CHECK_FALSE(report.hold);
  CHECK_FALSE(world.accepts("ada"));
}

TEST_CASE("increments of the server as before need no confirmation") {
  Company world;
  world.corp().full = false;
  world.leave("ada");
  CHECK_FALSE(world.cycle().hold);
  CHECK_FALSE(world.accepts("ada"));
}

TEST_CASE("a change of server that takes nothing away needs no confirmation") {
  Company world;
  world.corp().server = "dc2";
  world.hire("dan");
  CHECK_FALSE(unconfirmed(world.cycle()));
  world.leave("ada");
  CHECK_FALSE(world.cycle().hold);
  CHECK_FALSE(world.accepts("ada"));
}

TEST_CASE("what a lagging server lacks waits as long as it lags, what it adds does not") {
  Company world;
  world.corp().server = "dc2";
  world.corp().behind = "dc2 has not yet all that was read from dc1; ask later";
  world.leave("ada");
  for (int poll = 0; poll < 5; ++poll) {
    world.hire("new" + std::to_string(poll));
    const auto report = world.cycle();
    CHECK(report.generation->added == 1);
    CHECK(report.hold_is_new == (poll == 0));
    CHECK(report.reasons == std::vector<std::string>{
                                "removals wait until source is no longer behind: corp (dc2 has not "
                                "yet all that was read from dc1, ask later)"});
    CHECK(world.accepts("ada"));
    if (poll == 2) world.reopen();
  }
  SECTION("and is withdrawn when the first server is back") {
    world.corp().server = "dc1";
    world.corp().behind.clear();
    world.hire("ada");
    const auto report = world.cycle();
    CHECK(report.hold_ended);
    CHECK_FALSE(unconfirmed(report));
    CHECK(world.accepts("ada"));
  }
  SECTION("and is believed when the server has caught up, and lacks it in a full read") {
    world.corp().behind.clear();
    world.corp().full = false;
    CHECK(unconfirmed(world.cycle()));
    world.corp().full = true;
    CHECK_FALSE(world.cycle().hold);
    CHECK_FALSE(world.accepts("ada"));
  }
  SECTION("also while only others are read") {
    world.corp().read = false;
    world.sources["other"].objects["o"] = {"SMTP:o@example.com"};
    CHECK(world.cycle().hold);
    CHECK(world.accepts("ada"));
    CHECK(world.accepts("o"));
  }
}

TEST_CASE("removals do not wait for ever where two servers alternate") {
  Company world;
  world.leave("ada");
  world.corp().server = "dc2";
  CHECK(unconfirmed(world.cycle()));
  CHECK(world.accepts("ada"));
  SECTION("the first server lacks it now, too, or a third one") {
    world.corp().server = GENERATE("dc1", "dc3");
    CHECK_FALSE(unconfirmed(world.cycle()));
    CHECK_FALSE(world.accepts("ada"));
  }
  SECTION("each server that takes something more away needs a second look of its own") {
    for (const auto* name : {"bob", "cyd"}) {
      world.corp().server = world.corp().server == "dc1" ? "dc2" : "dc1";
      world.leave(name);
      CHECK(unconfirmed(world.cycle()));
      CHECK(world.accepts("ada"));
      CHECK(world.accepts(name));
    }
    world.corp().server = "dc2";
    CHECK_FALSE(unconfirmed(world.cycle()));
  }
}

TEST_CASE("failing over to a lagging server and back, again and again, loses nobody") {
  Company world;
  for (int round = 0; round < 6; ++round) {
    const auto late = "late" + std::to_string(round);
    world.corp().server = "dc1";
    world.corp().behind.clear();
    world.hire(late);
    world.cycle();
    world.corp().server = "dc2";
    world.corp().behind = "dc2 lags";
    world.leave(late);
    for (int poll = 0; poll < 3; ++poll) {
      world.cycle();
      CHECK(world.accepts(late));
      CHECK(world.accepts("ada"));
    }
    world.hire(late);
  }
}

TEST_CASE("a source that is not read is neither failed nor silent") {
  Company world;
  world.sources["other"].objects["o"] = {"SMTP:o@example.com"};
  world.cycle();
  world.sources["other"].read = false;
  world.sources["other"].objects.clear();
  world.leave("ada");
  CHECK_FALSE(world.cycle().hold);
  CHECK_FALSE(world.accepts("ada"));
  CHECK(world.accepts("o"));
  world.sources["other"].up = false;  // nor is it well when its last read failed
  world.leave("bob");
  CHECK(world.cycle().hold);
  CHECK(world.accepts("bob"));
}

TEST_CASE("no first table while a source was never read") {
  World world;
  world.sources["corp"].objects["a"] = {"SMTP:a@example.com"};
  world.sources["other"].read = false;
  CHECK_FALSE(world.cycle().generation);
  world.sources["other"].read = true;
  CHECK(world.cycle().generation);
}

TEST_CASE("the state keeps the cookie of the last read that changed something, and a first one") {
  Company world;
  const auto stored = [&] { return world.cycle().sources.at(0).cookie; };
  CHECK(stored().empty());
  world.corp().cookie = "1";
  CHECK(stored() == "1");
  world.corp().cookie = "2";
  CHECK(stored() == "1");
  world.hire("dan");
  world.corp().cookie = "3";
  CHECK(stored() == "3");
  world.hire("eve");
  world.corp().cookie = "";
  CHECK(stored().empty());
}

// Every transition of a target, one at a time.
#include "sync/target_machine.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using namespace std::chrono_literals;
using Kind = TargetMachine::Action::Kind;

namespace {

const SteadyTime start{1h};

struct Fixture {
  SeededRandom random{5};
  TargetMachine machine{true, {.generation = 3, .attempts = 0}, random};

  TargetMachine::Action desire(std::uint64_t generation, bool force = false) {
    return machine.desire({generation, force}, start);
  }
  /// Generation 4 was pushed and failed.
  TargetMachine::Action fail() {
    desire(4);
    return machine.failed(start);
  }
};

void check_push(const TargetMachine::Action& action, std::uint64_t generation, bool force = false) {
  CHECK(action.kind == Kind::push);
  CHECK(action.desired.generation == generation);
  CHECK(action.desired.force == force);
}

}  // namespace

TEST_CASE("states have names") {
  CHECK(to_string(TargetState::current) == "current");
  CHECK(to_string(TargetState::behind) == "behind");
  CHECK(to_string(TargetState::pushing) == "pushing");
  CHECK(to_string(TargetState::failing) == "failing");
  CHECK(to_string(TargetState::held) == "held");
  CHECK(to_string(TargetState::disabled) == "disabled");
}

TEST_CASE_METHOD(Fixture, "idle") {
  CHECK(machine.state() == TargetState::current);
  SECTION("what it holds is not pushed again") {
    CHECK(desire(3).kind == Kind::none);
    CHECK(machine.state() == TargetState::current);
  }
  SECTION("unless it is forced") {
    check_push(desire(3, true), 3, true);
  }
  SECTION("a new generation is pushed at once") {
    check_push(desire(4), 4);
    CHECK(machine.state() == TargetState::pushing);
    CHECK(machine.generation() == 3);
    CHECK_FALSE(machine.next_attempt());
  }
  SECTION("events of a push that does not run change nothing") {
    CHECK(machine.succeeded(9, start).kind == Kind::none);
    CHECK(machine.failed(start).kind == Kind::none);
    CHECK(machine.held(start).kind == Kind::none);
    CHECK(machine.timer(start).kind == Kind::none);
    CHECK(machine.generation() == 3);
    CHECK(machine.state() == TargetState::current);
    CHECK(machine.attempts() == 0);
  }
}

TEST_CASE("a target that was never seen is behind") {
  SeededRandom random(1);
  TargetMachine machine(true, {}, random);
  CHECK(machine.state() == TargetState::behind);
  check_push(machine.desire({1, false}, start), 1);
}

TEST_CASE_METHOD(Fixture, "pushing") {
  desire(4);
  SECTION("done") {
    CHECK(machine.succeeded(4, start).kind == Kind::none);
    CHECK(machine.state() == TargetState::current);
    CHECK(machine.generation() == 4);
    CHECK(desire(4).kind == Kind::none);
  }
  SECTION("the same wish again changes nothing") {
    CHECK(desire(4).kind == Kind::none);
    CHECK(machine.succeeded(4, start).kind == Kind::none);
  }
  SECTION("newer generations wait, the last one follows the success") {
    CHECK(desire(5).kind == Kind::none);
    CHECK(desire(6).kind == Kind::none);
    check_push(machine.succeeded(4, start), 6);
    CHECK(machine.generation() == 4);
    CHECK(machine.succeeded(6, start).kind == Kind::none);
    CHECK(machine.state() == TargetState::current);
  }
  SECTION("a newer generation follows a failure at once") {
    desire(5);
    check_push(machine.failed(start), 5);
    CHECK(machine.attempts() == 0);
  }
  SECTION("a newer generation follows a hold at once") {
    desire(5);
    check_push(machine.held(start), 5);
  }
  SECTION("the push took the newer generation with it") {
    desire(5);
    CHECK(machine.succeeded(5, start).kind == Kind::none);
    CHECK(machine.state() == TargetState::current);
  }
  SECTION("back to the generation that runs: nothing follows") {
    desire(5);
    desire(4);
    CHECK(machine.succeeded(4, start).kind == Kind::none);
  }
  SECTION("a resync of the same generation follows the success") {
    CHECK(desire(4, true).kind == Kind::none);
    check_push(machine.succeeded(4, start), 4, true);
    CHECK(machine.succeeded(4, start).kind == Kind::none);
  }
  SECTION("a resync is not forgotten for a newer generation") {
    desire(4, true);
    desire(5);
    check_push(machine.succeeded(4, start), 5, true);
  }
}

TEST_CASE_METHOD(Fixture, "a forced push that fails stays forced") {
  desire(3, true);
  SECTION("in the next attempt") {
    const auto action = machine.failed(start);
    CHECK(machine.state() == TargetState::failing);
    check_push(machine.timer(action.until), 3, true);
  }
  SECTION("when a newer generation came during the push") {
    desire(4);
    check_push(machine.failed(start), 4, true);
  }
  SECTION("when a newer generation comes while it waits") {
    machine.failed(start);
    check_push(desire(4), 4, true);
  }
  SECTION("when it is held and a newer generation comes") {
    machine.held(start);
    check_push(desire(4), 4, true);
  }
}

TEST_CASE_METHOD(Fixture, "waiting") {
  const auto action = fail();
  REQUIRE(action.kind == Kind::wait);
  CHECK(action.until >= start + 4500ms);
  CHECK(action.until <= start + 5500ms);
  CHECK(machine.state() == TargetState::failing);
  CHECK(machine.attempts() == 1);
  CHECK(machine.next_attempt() == action.until);

  SECTION("the timer starts it again") {
    check_push(machine.timer(action.until), 4);
    CHECK(machine.attempts() == 1);
    CHECK_FALSE(machine.next_attempt());
    SECTION("success ends the failing") {
      CHECK(machine.succeeded(4, start).kind == Kind::none);
      CHECK(machine.attempts() == 0);
      CHECK(machine.state() == TargetState::current);
    }
    SECTION("another failure waits longer") {
      const auto again = machine.failed(start);
      CHECK(again.until >= start + 9s);
      CHECK(machine.attempts() == 2);
    }
  }
  SECTION("a timer that comes early is sent back") {
    const auto early = machine.timer(action.until - 1ms);
    CHECK(early.kind == Kind::wait);
    CHECK(early.until == action.until);
  }
  SECTION("the same wish again does not shorten the pause") {
    const auto again = desire(4);
    CHECK(again.kind == Kind::wait);
    CHECK(again.until == action.until);
    CHECK(machine.attempts() == 1);
  }
  SECTION("a new generation starts at once and resets the backoff") {
    check_push(desire(5), 5);
    CHECK(machine.attempts() == 0);
    CHECK(machine.failed(start).until <= start + 5500ms);
  }
  SECTION("so does a resync") {
    check_push(desire(4, true), 4, true);
    CHECK(machine.attempts() == 0);
  }
  SECTION("back to what it holds: nothing is left to do") {
    CHECK(desire(3).kind == Kind::none);
    CHECK(machine.state() == TargetState::current);
    CHECK_FALSE(machine.next_attempt());
    CHECK(machine.timer(action.until).kind == Kind::none);
  }
}

TEST_CASE_METHOD(Fixture, "held") {
  desire(4);
  CHECK(machine.held(start).kind == Kind::none);
  CHECK(machine.state() == TargetState::held);
  CHECK_FALSE(machine.next_attempt());
  SECTION("no poll and no timer ends it") {
    CHECK(desire(4).kind == Kind::none);
    CHECK(machine.timer(start + 24h).kind == Kind::none);
    CHECK(machine.state() == TargetState::held);
  }
  SECTION("an approval or a resync does") {
    check_push(desire(4, true), 4, true);
  }
  SECTION("another generation does") {
    check_push(desire(5), 5);
  }
  SECTION("back to what it holds does") {
    CHECK(desire(3).kind == Kind::none);
    CHECK(machine.state() == TargetState::current);
  }
}

TEST_CASE("a restart tries a failing target at once, and goes on in its backoff") {
  SeededRandom random(1);
  TargetMachine machine(true, {.generation = 3, .attempts = 6}, random);
  CHECK(machine.state() == TargetState::failing);
  check_push(machine.desire({4, false}, start), 4);
  const auto action = machine.failed(start);
  CHECK(machine.attempts() == 7);
  CHECK(action.until >= start + 5s * 64 * 9 / 10);
  check_push(machine.desire({5, false}, start), 5);
  CHECK(machine.attempts() == 0);
}

TEST_CASE("a restart with nothing left to push ends the failing") {
  SeededRandom random(1);
  TargetMachine machine(true, {.generation = 3, .attempts = 6}, random);
  CHECK(machine.desire({3, false}, start).kind == Kind::none);
  CHECK(machine.state() == TargetState::current);
  CHECK(machine.attempts() == 0);
}

TEST_CASE("a disabled target never acts") {
  SeededRandom random(1);
  TargetMachine machine(false, {.generation = 3, .attempts = 2}, random);
  CHECK(machine.desire({4, true}, start).kind == Kind::none);
  CHECK(machine.succeeded(4, start).kind == Kind::none);
  CHECK(machine.failed(start).kind == Kind::none);
  CHECK(machine.held(start).kind == Kind::none);
  CHECK(machine.timer(start).kind == Kind::none);
  CHECK(machine.state() == TargetState::disabled);
  CHECK(machine.generation() == 3);
}

TEST_CASE("an operator's push ends a pause and a hold, and looks at one that is current") {
  Fixture fixture;
  auto& machine = fixture.machine;
  CHECK(machine.hurry(start).kind == Kind::none);  // nothing is in force yet

  fixture.fail();
  CHECK(machine.state() == TargetState::failing);
  check_push(machine.hurry(start), 4);
  CHECK(machine.hurry(start).kind == Kind::none);  // it runs already
  CHECK(machine.timer(start + 1h).kind == Kind::none);
  machine.failed(start);
  CHECK(machine.attempts() == 2);

  check_push(machine.hurry(start), 4);
  machine.held(start);
  CHECK(machine.state() == TargetState::held);
  check_push(machine.hurry(start), 4);
  machine.succeeded(4, start);
  CHECK(machine.state() == TargetState::current);
  check_push(machine.hurry(start), 4);
  machine.succeeded(4, start);

  // A resync that was not carried out keeps its force.
  fixture.desire(4, true);
  machine.failed(start);
  check_push(machine.hurry(start), 4, true);

  SeededRandom random{5};
  TargetMachine disabled{false, {.generation = 3, .attempts = 0}, random};
  disabled.desire({4, false}, start);
  CHECK(disabled.hurry(start).kind == Kind::none);
}

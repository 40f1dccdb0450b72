// A target that is driven at random, as the daemon would: what holds in every history.
#include "catch.hpp"
#include "sync/target_machine.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using namespace std::chrono_literals;
using Kind = TargetMachine::Action::Kind;

namespace {

/// The daemon around one machine: it knows whether a push runs and which timer is set.
struct Daemon {
  SeededRandom random;
  TargetMachine machine;
  SteadyTime now{1h};
  std::uint64_t newest = 1;  ///< generation
  std::optional<TargetMachine::Desired> running;
  std::optional<SteadyTime> timer;
  bool resync_owed = false;  ///< a forced wish that no successful push has served yet
  bool resync_came = false;  ///< since the push that runs began

  explicit Daemon(std::uint64_t seed)
      : random(seed), machine(true, {.generation = random.next() % 2, .attempts = 0}, random) {}

  void act(const TargetMachine::Action& action) {
    switch (action.kind) {
      case Kind::none:
        return;
      case Kind::push:
        REQUIRE_FALSE(running);  // never two at once
        REQUIRE(action.desired.generation == newest);
        REQUIRE((!resync_owed || action.desired.force));
        running = action.desired;
        resync_came = false;
        timer.reset();
        return;
      case Kind::wait:
        REQUIRE_FALSE(running);
        REQUIRE(action.until > now);
        REQUIRE(action.until <= now + 15min * 11 / 10);
        timer = action.until;
        return;
    }
  }

  void desire(bool newer, bool force) {
    const bool attempts_reset = newer || force;
    if (newer) ++newest;
    const bool was_running = running.has_value();
    if (force) resync_owed = true;
    if (force && was_running) resync_came = true;
    act(machine.desire({newest, force}, now));
    if (attempts_reset) {
      REQUIRE(running);  // at once, or right after the one that runs
      if (!was_running) REQUIRE(machine.attempts() == 0);
    }
  }

  void end_push() {
    const auto ran = *running;
    running.reset();
    const auto attempts = machine.attempts();
    const bool overtaken = ran.generation != newest || resync_came;
    switch (random.next() % 4) {
      case 0:
      case 1:
        if (ran.force && !resync_came) resync_owed = false;
        act(machine.succeeded(ran.generation, now));
        REQUIRE(machine.generation() == ran.generation);
        REQUIRE(machine.attempts() == 0);
        break;
      case 2:
        act(machine.failed(now));
        if (!running) REQUIRE(machine.attempts() == attempts + 1);
        if (running) REQUIRE(machine.attempts() == 0);
        break;
      default:
        act(machine.held(now));
    }
    if (overtaken) REQUIRE(running);
  }

  void step() {
    now += std::chrono::seconds(random.next() % 60);
    if (timer && now >= *timer) {
      timer.reset();
      act(machine.timer(now));
      REQUIRE(running);
    }
    const auto dice = random.next() % 100;
    if (running && dice < 50)
      end_push();
    else
      desire(dice % 10 == 0, dice % 23 == 0);
  }

  void check() {
    const auto state = machine.state();
    REQUIRE((state == TargetState::pushing) == running.has_value());
    REQUIRE(machine.next_attempt() == timer);
    if (state == TargetState::current) REQUIRE(machine.generation() == newest);
    if (state == TargetState::failing) REQUIRE(timer);
    // Nobody is forgotten: what is not current is being pushed, waits, or is held.
    if (machine.generation() != newest) REQUIRE((running || timer || state == TargetState::held));
  }
};

}  // namespace

TEST_CASE("in every history: one push at a time, the newest generation, nobody forgotten") {
  const auto seed = GENERATE(range(1, 101));
  CAPTURE(seed);
  Daemon daemon(static_cast<std::uint64_t>(seed));
  daemon.desire(false, false);
  for (int i = 0; i < 1000; ++i) {
    CAPTURE(i);
    daemon.step();
    daemon.check();
  }
}

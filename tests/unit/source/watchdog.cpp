#include "source/watchdog.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;
using namespace std::chrono_literals;

namespace {

using Steady = std::chrono::steady_clock;

struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    ours = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  Fd ours, theirs;
};

// Blocks in read(2) on a socket on which nothing comes; how long it took.
std::chrono::duration<double> blocked(const Pair& pair) {
  const auto start = Steady::now();
  char byte;
  CHECK(::read(pair.ours.get(), &byte, 1) == 0);
  return Steady::now() - start;
}

}  // namespace

TEST_CASE("a blocked read ends at the deadline") {
  const Pair pair;
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 100ms, {});
  REQUIRE(watchdog);
  const auto took = blocked(pair);
  CHECK(took >= 90ms);
  CHECK(took < 5s);
  CHECK((*watchdog)->verdict() == Watchdog::Verdict::expired);
}

TEST_CASE("a deadline that has passed already ends it at once") {
  const Pair pair;
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() - 1s, {});
  CHECK(blocked(pair) < 5s);
}

TEST_CASE("extending moves the deadline") {
  const Pair pair;
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 50ms, {});
  (*watchdog)->extend(Steady::now() + 300ms);
  CHECK(blocked(pair) >= 290ms);
}

TEST_CASE("a deadline can be set earlier") {
  const Pair pair;
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 1h, {});
  (*watchdog)->set(Steady::now() + 50ms);
  CHECK(blocked(pair) < 10s);
}

TEST_CASE("a stop request ends a blocked read at once") {
  const Pair pair;
  std::stop_source stop;
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 1h, stop.get_token());
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  CHECK(blocked(pair) < 10s);
  CHECK((*watchdog)->verdict() == Watchdog::Verdict::stopped);
}

TEST_CASE("a stop that was requested before counts too") {
  const Pair pair;
  std::stop_source stop;
  stop.request_stop();
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 1h, stop.get_token());
  CHECK(blocked(pair) < 10s);
}

TEST_CASE("a closed descriptor's number can be used again without danger") {
  Pair pair;
  auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 100ms, {});
  const int number = pair.ours.get();
  pair.ours.reset();
  const Pair other;
  REQUIRE(::dup2(other.ours.get(), number) == number);
  const Fd reused(number);
  std::this_thread::sleep_for(200ms);
  CHECK((*watchdog)->verdict() == Watchdog::Verdict::expired);
  CHECK(::write(other.theirs.get(), "x", 1) == 1);
  char byte = 0;
  CHECK(::read(reused.get(), &byte, 1) == 1);
}

TEST_CASE("a watchdog that is not needed any more leaves the socket alone") {
  const Pair pair;
  { auto watchdog = Watchdog::watch(pair.ours.get(), Steady::now() + 1h, {}); }
  CHECK(::write(pair.theirs.get(), "x", 1) == 1);
  char byte = 0;
  CHECK(::read(pair.ours.get(), &byte, 1) == 1);
}

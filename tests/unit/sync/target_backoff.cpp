// How long a failing target is left alone.
#include "catch.hpp"
#include "sync/target_machine.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using namespace std::chrono_literals;

TEST_CASE("the backoff doubles from 5 s to 15 min and stays there, within a tenth") {
  SeededRandom random(1);
  std::chrono::milliseconds expected = 5s;
  for (std::uint32_t attempts = 1; attempts < 40; ++attempts) {
    CAPTURE(attempts);
    auto least = 24h / 1ms * 1ms;
    auto most = 0ms;
    for (int i = 0; i < 200; ++i) {
      const auto pause = backoff(attempts, random);
      REQUIRE(pause >= expected * 9 / 10);
      REQUIRE(pause <= expected * 11 / 10);
      least = std::min(least, pause);
      most = std::max(most, pause);
    }
    // The jitter is used: targets that failed together do not come back together.
    CHECK(most - least > expected / 10);
    expected = std::min<std::chrono::milliseconds>(expected * 2, 15min);
  }
}

TEST_CASE("the backoff of numbers that nobody counts to") {
  SeededRandom random(1);
  CHECK(backoff(UINT32_MAX, random) >= 15min * 9 / 10);
  CHECK(backoff(0, random) <= 5500ms);
}

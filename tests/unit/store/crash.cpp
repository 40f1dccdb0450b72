// SIGKILL at any moment leaves one whole generation: the one before or the one after.
#include <signal.h>

#include <chrono>
#include <thread>

#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

TEST_CASE("a writer killed at random moments leaves whole generations") {
  Folder folder;
  const std::uint64_t seed = system_random().next();
  INFO("seed " << seed);
  SeededRandom random(seed);
  std::uint64_t last = 0;
  for (int round = 0; round < 40; ++round) {
    Gate committed;
    const auto child_seed = random.next();
    {
      Child writer([&] {
        SeededRandom work(child_seed);
        auto store = open_owner(folder.path, {1 << 20, 1ULL << 40});
        if (!store) return 1;
        for (bool first = true;; first = false) {
          if (!advance(**store, work, 300)) return 2;
          if (first) committed.open();
        }
      });
      // Most rounds after the first commit, some during the opening.
      if (round % 5 != 0) REQUIRE(committed.wait());
      std::this_thread::sleep_for(std::chrono::microseconds(random.next() % 20000));
      writer.kill();
      REQUIRE(writer.wait() == -SIGKILL);
    }
    auto store = open_owner(folder.path);
    REQUIRE(store);
    REQUIRE(inconsistency(**store) == "");
    std::uint64_t number = 0;
    REQUIRE((*store)->read([&](View& view) -> Result<> {
      number = view.meta().value().generation;
      return {};
    }));
    CHECK(number >= last);
    last = number;
  }
  CHECK(last > 30);
}

TEST_CASE("a creation killed at random moments is simply begun again") {
  SeededRandom random(system_random().next());
  for (int round = 0; round < 60; ++round) {
    Folder folder;
    Child creator([&] { return open_owner(folder.path) ? 0 : 1; });
    std::this_thread::sleep_for(std::chrono::microseconds(random.next() % 3000));
    creator.kill();
    creator.wait();
    auto store = open_owner(folder.path);
    REQUIRE(store);
    CHECK(inconsistency(**store) == "");
    CHECK_FALSE(std::filesystem::exists(folder.path / "data.mdb.new"));
  }
}

// What a large transaction takes of memory comes back, and the map is no more than address space.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

// More changes than a transaction may have that leaves the environment open.
constexpr std::uint64_t large = 6000;

// The sanitizers keep freed memory, and take more address space than any limit leaves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool memory_is_ours = false;
#else
constexpr bool memory_is_ours = true;
#endif

/// A field of /proc/self/status, in bytes.
std::uint64_t status(std::string_view field) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(field)) return std::stoull(line.substr(field.size())) * 1024;
  return 0;
}

/// Bytes of this process that stand in no file.
std::uint64_t private_memory() {
  ::malloc_trim(0);
  return status("RssAnon:");
}

bool limit_address_space(std::uint64_t bytes) {
  const rlimit limit{bytes, bytes};
  return ::setrlimit(RLIMIT_AS, &limit) == 0;
}

}  // namespace

TEST_CASE("the memory of a large transaction comes back, committed or not") {
  if (!memory_is_ours) return;
  Folder folder;
  CHECK(Child([&] {
          const auto store = open_owner(folder.path).value();
          SeededRandom random(1);
          const auto room = private_memory() + (4 << 20);
          if (!fill(*store, 20 * large)) return 1;
          if (!advance(*store, random, 100) || private_memory() > room) {
            fmt::print(stderr, "{} MB more after a commit\n", (private_memory() - room) >> 20);
            return 3;
          }
          const auto given_up = store->write([&](Transaction& transaction) -> Result<bool> {
            for (std::uint64_t i = 0; i < 20 * large; ++i)
              if (auto put = transaction.put_recipient(fmt::format("x{:07}@example.com", i), {});
                  !put)
                return put.error();
            return false;
          });
          if (!given_up || *given_up) return 4;
          if (!advance(*store, random, 100) || private_memory() > room) {
            fmt::print(stderr, "{} MB more after an abort\n", (private_memory() - room) >> 20);
            return 5;
          }
          return inconsistency(*store).empty() ? 0 : 6;
        }).wait() == 0);
}

TEST_CASE("readers go on through large transactions, here and in another process") {
  Folder folder;
  Gate ready, done;
  Child other([&] {
    if (!ready.wait()) return 1;
    const auto store = open_reader(folder.path);
    if (!store) return 2;
    for (;;) {
      if (!inconsistency(**store).empty()) return 3;
      bool last = false;
      const auto read = (*store)->read([&](View& view) -> Result<> {
        last = view.meta().value().generation >= 5;
        return {};
      });
      if (!read) return 4;
      if (last) return 0;
    }
  });
  const auto store = open_owner(folder.path).value();
  REQUIRE(fill(*store, large).value());
  ready.open();
  std::atomic<bool> ended = false;
  std::atomic<int> faults = 0;
  std::thread reader([&] {
    while (!ended)
      if (!inconsistency(*store).empty()) ++faults;
  });
  SeededRandom random(7);
  bool written = true;
  for (int i = 0; i < 4 && written; ++i)
    written = static_cast<bool>(advance(*store, random, large));
  ended = true;
  reader.join();
  CHECK(written);
  CHECK(faults == 0);
  CHECK(other.wait() == 0);
}

TEST_CASE("a file that is moved away under a running owner is not made anew") {
  Folder folder;
  const auto store = open_owner(folder.path).value();
  REQUIRE(fill(*store, large).value());
  const auto aside = folder.path / "aside";
  std::filesystem::rename(folder.data(), aside);
  for (int i = 0; i < 2; ++i) {
    const auto refused = store->read([](View&) -> Result<> { return {}; });
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::damaged);
    CHECK(refused.error().message.find(folder.data().native()) != std::string::npos);
    SeededRandom random(1);
    CHECK_FALSE(advance(*store, random, 10));
    if (i == 0) {
      CHECK_FALSE(std::filesystem::exists(folder.data()));
      std::filesystem::copy_file(aside, folder.data());  // the same bytes, but another file
    }
  }
  std::filesystem::rename(aside, folder.data());
  SeededRandom random(1);
  CHECK(advance(*store, random, 10).value());
  CHECK(inconsistency(*store) == "");
}

TEST_CASE("a state opens under a map of another size than it was made with") {
  Folder folder;
  for (const std::uint64_t size : {std::uint64_t{1} << 30, Options{}.initial_map,
                                   std::uint64_t{8} << 20, std::uint64_t{1} << 30}) {
    const auto store = open_owner(folder.path, {size, 1ULL << 40}).value();
    REQUIRE(fill(*store, 2000).value());
    CHECK(inconsistency(*store) == "");
  }
  CHECK(inconsistency(*open_reader(folder.path).value()) == "");
}

TEST_CASE(
    "a limit on the address space makes the map smaller, and a map that cannot grow no harm") {
  if (!memory_is_ours) return;
  Folder folder;
  REQUIRE(fill(*open_owner(folder.path).value(), 1000).value());
  CHECK(Child([&] {
          if (!limit_address_space(status("VmSize:") + (300UL << 20))) return 1;
          const auto store = open_owner(folder.path);
          if (!store || !inconsistency(**store).empty()) return 2;
          return fill(**store, 2000) ? 0 : 3;
        }).wait() == 0);
  CHECK(Child([&] {
          const auto store = open_owner(folder.path, {8 << 20, 1ULL << 40});
          if (!store) return 1;
          // Room for the records of the large transaction, but not for a map of the double.
          if (!limit_address_space(status("VmSize:") + (200UL << 20))) return 2;
          SeededRandom random(1);
          const auto refused = (*store)->write([&](Transaction& transaction) -> Result<bool> {
            for (std::uint64_t i = 0;; ++i)
              if (auto put = transaction.put_recipient(fmt::format("x{:09}@example.com", i), {});
                  !put)
                return put.error();
          });
          if (refused) return 3;
          if (!inconsistency(**store).empty()) return 4;
          return advance(**store, random, 10) ? 0 : 5;
        }).wait() == 0);
}

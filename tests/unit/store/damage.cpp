// A damaged file gives an error or what was written, never anything else, and never a crash. Each
// opening runs in a process of its own, so that a crash is a result too.
#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <unistd.h>

#include <fstream>

#include "base/file.hpp"
#include "catch.hpp"
#include "store/pages.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

// A sanitizer makes fork(2) slow.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int thinned = 5;
#else
constexpr int thinned = 1;
#endif

// Records in the tables that cycles alone leave empty.
Result<bool> put_marks(Store& store) {
  return store.write([](Transaction& transaction) -> Result<bool> {
    TargetRecord target;
    target.name = "mx1";
    REQUIRE(transaction.put_target(target));
    REQUIRE(transaction.put_refusal({sha256("set"), WallTime{}, "root", 30}));
    std::vector<std::string> losses;
    for (int i = 0; i < 60; ++i) {
      const auto address = fmt::format("user{:08}@example.com", i);
      REQUIRE(transaction.put_held(address, {"550 gone", i % 2 == 0}));
      REQUIRE(transaction.put_refused(address, sha256("set")));
      REQUIRE(transaction.put_grace(address, WallTime{}));
      REQUIRE(transaction.put_pending({Operation::removed, address, "", "450", 1, {}}));
      REQUIRE(transaction.put_mention(address, 1, "key"));
      losses.push_back(address);
    }
    REQUIRE(transaction.put_losses("mx1", losses));
    return true;
  });
}

// A state with all kinds of pages, and what its last two commits have in them.
struct Sample {
  Folder folder;
  std::string bytes;
  std::string last, before_last;

  Sample() {
    auto store = open_owner(folder.path).value();
    REQUIRE(fill(*store, 400).value());
    REQUIRE(put_marks(*store).value());
    SeededRandom random(1);
    for (int i = 0; i < 12; ++i) {
      REQUIRE(advance(*store, random, 150).value());
      before_last = std::move(last);
      REQUIRE(store->read([&](View& view) -> Result<> {
        last = everything(view).value();
        return {};
      }));
    }
    store.reset();
    bytes = read_file(folder.data(), 1UL << 30).value();
  }

  enum Outcome { refused = 10, same = 11, one_before = 12, other = 13 };

  [[nodiscard]] int outcome(const std::string& changed, Result<std::unique_ptr<Store>> (*open)(
                                                            const std::filesystem::path&)) const {
    std::ofstream(folder.data(), std::ios::binary | std::ios::trunc) << changed;
    return Child([&]() -> int {
             auto store = open(folder.path);
             if (!store) return refused;
             std::string seen;
             auto read = (*store)->read([&](View& view) -> Result<> {
               auto all = everything(view);
               if (!all) return all.error();
               seen = std::move(*all);
               return {};
             });
             if (!read) return refused;
             return seen == last ? same : seen == before_last ? one_before : other;
           })
        .wait();
  }
};

Result<std::unique_ptr<Store>> as_owner(const std::filesystem::path& folder) {
  return open_owner(folder);
}

}  // namespace

TEST_CASE("a file that was cut off anywhere is refused by owner and reader") {
  const Sample sample;
  SeededRandom random(42);
  REQUIRE(sample.outcome(sample.bytes, as_owner) == Sample::same);
  std::vector<std::size_t> sizes{0, 1, 100, 4095, 4096, 4097, 8191, 8192, 8193};
  for (int i = 0; i < 60 / thinned; ++i) sizes.push_back(random.next() % sample.bytes.size());
  for (std::size_t back = 1; back <= 20; ++back) sizes.push_back(sample.bytes.size() - back * 4096);
  int refused = 0;
  for (const auto size : sizes) {
    INFO("cut to " << size << " of " << sample.bytes.size());
    for (const auto open : {as_owner, open_reader}) {
      const auto outcome = sample.outcome(sample.bytes.substr(0, size), open);
      // What was cut off may have been free.
      CHECK((outcome == Sample::refused || outcome == Sample::same));
      refused += outcome == Sample::refused ? 1 : 0;
    }
  }
  CHECK(refused > 100 / thinned);
}

TEST_CASE("bytes changed at random places give an error or what was written") {
  const Sample sample;
  const std::uint64_t seed = system_random().next();
  INFO("seed " << seed);
  SeededRandom random(seed);
  int refused = 0;
  int same = 0;
  for (int round = 0; round < 500 / thinned; ++round) {
    auto bytes = sample.bytes;
    const auto at = [&] {
      // Headers and node tables of pages, where damage does most harm, get their share.
      const auto place = random.next() % bytes.size();
      return round % 3 == 0 ? place / 4096 * 4096 + random.next() % 64 : place;
    };
    switch (round % 5) {
      case 0:  // a sector of zeros
        bytes.replace(at() / 512 * 512, 512, 512, '\0');
        break;
      case 1: {  // a page in the place of another
        const auto from = random.next() % (bytes.size() / 4096) * 4096;
        bytes.replace(at() / 4096 * 4096, 4096, sample.bytes.substr(from, 4096));
        break;
      }
      case 2: {  // one bit
        const auto place = std::min(at(), bytes.size() - 1);
        bytes[place] = static_cast<char>(bytes[place] ^ 1 << random.next() % 8);
        break;
      }
      default:
        for (auto left = 1 + random.next() % 16; left > 0; --left)
          bytes[std::min(at(), bytes.size() - 1)] = static_cast<char>(random.next());
    }
    const auto outcome = sample.outcome(bytes, as_owner);
    INFO("round " << round << ": " << outcome);
    // A changed meta page can make LMDB fall back to the commit before, which is whole, too.
    REQUIRE(
        (outcome == Sample::refused || outcome == Sample::same || outcome == Sample::one_before));
    refused += outcome == Sample::refused ? 1 : 0;
    same += outcome == Sample::same ? 1 : 0;
  }
  // Else the places were not those that matter.
  CHECK(refused > 150 / thinned);
  CHECK(same > 10 / thinned);
}

TEST_CASE("a key that became another one without leaving its place is noticed") {
  const Sample sample;
  auto bytes = sample.bytes;
  // The owner of an address: a look-up of the address would just not find it.
  const auto key = std::string("user00000101@example.com") + '\0';
  int changed = 0;
  for (auto at = bytes.find(key); at != std::string::npos; at = bytes.find(key, at + 1)) {
    bytes[at + key.find('@')] = '\0';
    ++changed;
  }
  REQUIRE(changed > 0);
  CHECK(sample.outcome(bytes, as_owner) == Sample::refused);
}

TEST_CASE("bits of the meta pages flip") {
  const Sample sample;
  for (std::size_t page = 0; page < 2; ++page)
    for (std::size_t bit = 0; bit < 160 * 8; bit += 11 * thinned) {
      auto bytes = sample.bytes;
      auto& byte = bytes[page * 4096 + bit / 8];
      byte = static_cast<char>(byte ^ 1 << bit % 8);
      const auto outcome = sample.outcome(bytes, as_owner);
      INFO("page " << page << " bit " << bit << ": " << outcome);
      REQUIRE(
          (outcome == Sample::refused || outcome == Sample::same || outcome == Sample::one_before));
    }
}

TEST_CASE("the check of the pages finds nothing wrong with what LMDB writes") {
  // A refusal of a healthy state would stop the daemon: so after every commit of a long and mixed
  // life, with deletions, long records, freed pages and a growing map.
  Folder folder;
  const std::uint64_t seed = system_random().next();
  INFO("seed " << seed);
  SeededRandom random(seed);
  auto store = open_owner(folder.path, {1 << 20, 1ULL << 40}).value();
  const Fd fd(::open(folder.data().c_str(), O_RDONLY | O_CLOEXEC));
  const auto check = [&] {
    // The two meta pages bear the last two transactions: the later one is the one to look at.
    std::uint64_t newest = 0;
    for (const off_t at : {off_t{16 + 128}, off_t{4096 + 16 + 128}}) {
      std::uint64_t txnid = 0;
      REQUIRE(::pread(fd.get(), &txnid, sizeof txnid, at) == sizeof txnid);
      newest = std::max(newest, txnid);
    }
    const auto checked = check_pages(fd.get(), folder.data(), newest, PageCheck::full);
    INFO((checked ? "" : checked.error().message));
    REQUIRE(checked);
  };
  for (int round = 0; round < 250 / thinned; ++round) {
    const auto size = std::uint64_t{1} << random.next() % 11;
    REQUIRE(advance(*store, random, size).value());
    check();
    if (round % 40 == 39) {
      REQUIRE(store
                  ->write([&](Transaction& transaction) -> Result<bool> {
                    auto meta = transaction.meta().value();
                    REQUIRE(transaction.erase_generations_before(meta.generation - 3));
                    std::vector<std::string> gone;
                    REQUIRE(transaction.each_recipient(
                        [&](std::string_view address, const RecipientRecord&) {
                          if (gone.size() % 7 != 3) gone.emplace_back(address);
                          return gone.size() < 3000;
                        }));
                    for (const auto& address : gone) {
                      REQUIRE(transaction.erase_recipient(address));
                      REQUIRE(transaction.erase_object(1, "k" + address));
                    }
                    return true;
                  })
                  .value());
      check();
    }
  }
}

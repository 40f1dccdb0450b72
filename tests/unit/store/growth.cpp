// The map grows under writers and readers, and a write that leaves things as they were writes
// nothing.
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/digest.hpp"
#include "base/file.hpp"
#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

constexpr Options tiny{1 << 20, 1ULL << 40};

struct Fingerprint {
  Digest content;
  timespec modified;
  ino_t inode;
  explicit Fingerprint(const std::filesystem::path& file)
      : content(sha256(read_file(file, 1UL << 30).value())) {
    struct stat status {};
    ::stat(file.c_str(), &status);
    modified = status.st_mtim;
    inode = status.st_ino;
  }
  bool operator==(const Fingerprint& other) const {
    return content == other.content && inode == other.inode &&
           modified.tv_sec == other.modified.tv_sec && modified.tv_nsec == other.modified.tv_nsec;
  }
};

}  // namespace

TEST_CASE("a first load far larger than the map runs again until it fits") {
  Folder folder;
  auto store = open_owner(folder.path, tiny).value();
  int runs = 0;
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                ++runs;
                for (int i = 0; i < 200000; ++i) {
                  const auto address = fmt::format("user{:07}@example.com", i);
                  if (auto put = transaction.put_owner(address, {1, "key"}); !put)
                    return put.error();
                }
                return true;
              })
              .value());
  CHECK(runs > 3);
  std::uint64_t found = 0;
  REQUIRE(store->read([&](View& view) -> Result<> {
    for (int i = 0; i < 200000; ++i)
      found += view.owners(fmt::format("user{:07}@example.com", i)).value().size();
    return {};
  }));
  CHECK(found == 200000);
}

TEST_CASE("a body that ignores a full map does not commit a part") {
  Folder folder;
  auto store = open_owner(folder.path, tiny).value();
  int runs = 0;
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                ++runs;
                for (int i = 0; i < 50000; ++i)
                  (void)transaction.put_recipient(fmt::format("user{:07}@example.com", i), {});
                return true;
              })
              .value());
  CHECK(runs > 1);
  std::uint64_t found = 0;
  REQUIRE(store->read([&](View& view) {
    return view.each_recipient(
        [&](std::string_view, const RecipientRecord&) { return ++found > 0; });
  }));
  CHECK(found == 50000);
}

TEST_CASE("the map does not grow beyond its limit, and the state stays") {
  Folder folder;
  auto store = open_owner(folder.path, {1 << 20, 4 << 20}).value();
  REQUIRE(fill(*store, 500).value());
  const auto refused = fill(*store, 200000);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::no_space);
  CHECK(refused.error().message.find("data.mdb") != std::string::npos);
  REQUIRE(store->read([&](View& view) -> Result<> {
    CHECK(view.meta().value().accepted == 500);
    return {};
  }));
  SeededRandom random(1);
  CHECK(advance(*store, random, 10).value());
}

TEST_CASE("the map grows while other threads read") {
  Folder folder;
  auto store = open_owner(folder.path, tiny).value();
  REQUIRE(fill(*store, 100).value());
  std::atomic<bool> done = false;
  std::atomic<int> faults = 0;
  std::atomic<std::uint64_t> reads = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      while (!done || reads == 0) {
        const auto read = store->read([&](View& view) -> Result<> {
          const auto accepted = view.meta().value().accepted;
          std::uint64_t rows = 0;
          auto walked = view.each_recipient([&](std::string_view, const RecipientRecord& record) {
            rows += record.reject.empty() ? 1 : 0;
            return true;
          });
          if (rows != accepted) ++faults;
          return walked;
        });
        if (!read) ++faults;
        ++reads;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  bool written = true;
  for (std::uint64_t size = 1000; size <= 32000 && written; size *= 2)
    written = static_cast<bool>(fill(*store, size));
  done = true;
  for (auto& reader : readers) reader.join();
  CHECK(written);
  CHECK(faults == 0);
}

TEST_CASE("a body that returns false or an error leaves the file untouched") {
  Folder folder;
  auto store = open_owner(folder.path).value();
  REQUIRE(fill(*store, 1000).value());
  const Fingerprint before(folder.data());
  CHECK(store
            ->write([](Transaction& transaction) -> Result<bool> {
              REQUIRE(transaction.put_recipient("new@example.com", {}));
              REQUIRE(transaction.erase_recipient("user00000001@example.com"));
              CHECK_FALSE(transaction.recipient("user00000001@example.com").value());
              return false;
            })
            .value() == false);
  const auto failed = store->write([](Transaction& transaction) -> Result<bool> {
    REQUIRE(transaction.put_recipient("new@example.com", {}));
    return Error{Errc::cancelled, "enough"};
  });
  CHECK(failed.error().code == Errc::cancelled);
  CHECK_THROWS(store->write([](Transaction& transaction) -> Result<bool> {
    REQUIRE(transaction.put_recipient("new@example.com", {}));
    throw std::runtime_error("a bug");
  }));
  REQUIRE(store->read([](View& view) -> Result<> {
    CHECK_FALSE(view.recipient("new@example.com").value());
    CHECK(view.recipient("user00000001@example.com").value());
    return {};
  }));
  CHECK(Fingerprint(folder.data()) == before);
}

TEST_CASE("opening, reading and closing leave the file untouched") {
  Folder folder;
  REQUIRE(fill(*open_owner(folder.path).value(), 1000).value());
  const Fingerprint before(folder.data());
  REQUIRE(open_owner(folder.path));
  REQUIRE(open_reader(folder.path));
  CHECK(Fingerprint(folder.data()) == before);
}

// A first load of a large company; run with the name of the test. Not part of the suite.
TEST_CASE("time of a first load and of an unchanged walk", "[.bench]") {
  Folder folder;
  const auto since = [](auto start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  auto start = std::chrono::steady_clock::now();
  {
    auto store = open_owner(folder.path).value();
    REQUIRE(store
                ->write([](Transaction& transaction) -> Result<bool> {
                  ObjectRecord object;
                  object.origin = "CN=Some Name,OU=People,DC=corp,DC=example,DC=com";
                  object.values.resize(3);
                  for (int i = 0; i < 1000000; ++i) {
                    const auto key = fmt::format("{:016x}", i);
                    for (int k = 0; k < 3; ++k) {
                      auto& value = object.values[static_cast<std::size_t>(k)];
                      value.attribute = "proxyAddresses";
                      value.canonical = fmt::format("user{:07}.{}@example.com", i, k);
                      value.text = "smtp:" + value.canonical;
                    }
                    if (auto put = transaction.put_object(1, key, object); !put) return put.error();
                  }
                  return true;
                })
                .value());
    fmt::print("1M objects {:.2f} s\n", since(start));
    start = std::chrono::steady_clock::now();
    REQUIRE(store
                ->write([](Transaction& transaction) -> Result<bool> {
                  std::vector<Change> changes;
                  for (int i = 0; i < 3000000; ++i) {
                    const auto address = fmt::format("user{:07}.{}@example.com", i / 3, i % 3);
                    const auto key = fmt::format("{:016x}", i / 3);
                    if (auto put = transaction.put_owner(address, {1, key}); !put)
                      return put.error();
                    if (auto put = transaction.put_recipient(address, {"", 1, true}); !put)
                      return put.error();
                    changes.push_back({Operation::added, address, {}});
                  }
                  Generation generation;
                  generation.number = 1;
                  if (auto put = transaction.put_generation(generation, changes); !put)
                    return put.error();
                  return true;
                })
                .value());
    fmt::print("3M owners, recipients, changes {:.2f} s\n", since(start));
  }
  fmt::print("file {} MB\n", std::filesystem::file_size(folder.data()) >> 20);
  start = std::chrono::steady_clock::now();
  auto store = open_owner(folder.path).value();
  fmt::print("open and check {:.2f} s\n", since(start));
  start = std::chrono::steady_clock::now();
  std::uint64_t rows = 0;
  REQUIRE(store->read([&](View& view) {
    return view.each_hash(1, [&](std::string_view, const StoredHash&) { return ++rows > 0; });
  }));
  fmt::print("1M hashes {:.2f} s\n", since(start));
  start = std::chrono::steady_clock::now();
  REQUIRE(store->read([&](View& view) {
    return view.each_recipient(
        [&](std::string_view, const RecipientRecord&) { return ++rows > 0; });
  }));
  fmt::print("3M recipients {:.2f} s\n", since(start));
  CHECK(rows == 4000000);
  store.reset();
  start = std::chrono::steady_clock::now();
  auto reader = open_reader(folder.path).value();
  fmt::print("open to read {:.4f} s\n", since(start));
}

// One writer, any number of readers, in one process and in several.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <set>
#include <thread>

#include "base/file.hpp"
#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename());
  return names;
}

std::uint64_t generation_in(Store& store) {
  std::uint64_t number = 0;
  REQUIRE(store.read([&](View& view) -> Result<> {
    number = view.meta().value().generation;
    return {};
  }));
  return number;
}

}  // namespace

TEST_CASE("a view stays as it was when it began") {
  Folder folder;
  auto store = open_owner(folder.path).value();
  REQUIRE(fill(*store, 500).value());
  REQUIRE(store->read([&](View& view) -> Result<> {
    const auto before = everything(view).value();
    std::thread writer([&] {
      SeededRandom random(3);
      for (int i = 0; i < 30; ++i) (void)advance(*store, random, 100);
    });
    writer.join();
    CHECK(everything(view).value() == before);
    return {};
  }));
  CHECK(generation_in(*store) == 31);
  CHECK(inconsistency(*store) == "");
}

TEST_CASE("a transaction sees its own changes, others only after the commit") {
  Folder folder;
  auto store = open_owner(folder.path).value();
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                REQUIRE(transaction.put_recipient("a@example.com", {}));
                CHECK(transaction.recipient("a@example.com").value());
                bool seen = true;
                std::thread([&] {
                  (void)store->read([&](View& view) -> Result<> {
                    seen = view.recipient("a@example.com").value().has_value();
                    return {};
                  });
                }).join();
                CHECK_FALSE(seen);
                return true;
              })
              .value());
}

TEST_CASE("writers in one process take turns") {
  Folder folder;
  auto store = open_owner(folder.path).value();
  std::vector<std::thread> writers;
  for (std::uint64_t i = 0; i < 4; ++i)
    writers.emplace_back([&store, i] {
      SeededRandom random(i);
      for (int k = 0; k < 10; ++k) (void)advance(*store, random, 20);
    });
  for (auto& writer : writers) writer.join();
  CHECK(generation_in(*store) == 40);
  CHECK(inconsistency(*store) == "");
}

TEST_CASE("a second owner is refused, here and in another process, and may come afterwards") {
  Folder folder;
  const auto code_of_another = [&folder] {
    const auto store = open_owner(folder.path);
    return store ? 0 : store.error().code == Errc::busy ? 75 : 1;
  };
  Gate opened, done;
  Child first([&] {
    const auto store = open_owner(folder.path);
    if (!store) return 1;
    opened.open();
    return done.wait() ? 0 : 2;
  });
  REQUIRE(opened.wait());
  const auto refused = open_owner(folder.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::busy);
  CHECK(refused.error().message.find((folder.path / "daemon.lock").native()) != std::string::npos);
  CHECK(Child(code_of_another).wait() == 75);
  done.open();
  CHECK(first.wait() == 0);
  CHECK(Child(code_of_another).wait() == 0);

  auto here = open_owner(folder.path);
  REQUIRE(here);
  CHECK(open_owner(folder.path / ".").error().code == Errc::busy);
  CHECK(open_reader(folder.path).error().code == Errc::busy);
  here->reset();
  CHECK(open_reader(folder.path));
}

TEST_CASE("an owner that is killed leaves the state free") {
  Folder folder;
  Gate opened;
  Child owner([&] {
    const auto store = open_owner(folder.path);
    if (!store) return 1;
    opened.open();
    std::this_thread::sleep_for(std::chrono::minutes(1));
    return 2;
  });
  REQUIRE(opened.wait());
  owner.kill();
  CHECK(owner.wait() == -SIGKILL);
  CHECK(open_owner(folder.path));
}

TEST_CASE("a reader in another process follows the writer and its growing file") {
  Folder folder;
  Gate ready, done;
  Child reader([&] {
    if (!ready.wait()) return 1;
    auto store = open_reader(folder.path);
    if (!store) return 2;
    std::uint64_t last = 0;
    for (;;) {
      if (const auto fault = inconsistency(**store); !fault.empty()) {
        fmt::print(stderr, "reader: {}\n", fault);
        return 3;
      }
      std::uint64_t number = 0;
      if (!(*store)->read([&](View& view) -> Result<> {
            const auto meta = view.meta();
            if (!meta) return meta.error();
            number = meta->generation;
            return {};
          }))
        return 4;
      if (number < last) return 5;
      last = number;
      if (number == 80) return 0;
    }
  });
  auto store = open_owner(folder.path, {1 << 20, 1ULL << 40}).value();
  SeededRandom random(11);
  REQUIRE(advance(*store, random, 100).value());
  ready.open();
  for (int i = 1; i < 80; ++i) REQUIRE(advance(*store, random, 300).value());
  CHECK(reader.wait() == 0);
  CHECK(std::filesystem::file_size(folder.data()) > 4 << 20);
}

TEST_CASE("a copy is made while another process writes") {
  Folder folder, copy;
  Gate first;
  Child writer([&] {
    auto store = open_owner(folder.path, {1 << 20, 1ULL << 40});
    if (!store) return 1;
    SeededRandom random(7);
    for (int i = 0; i < 1000000; ++i) {
      if (!advance(**store, random, 200)) return 2;
      if (i == 5) first.open();
    }
    return 0;
  });
  REQUIRE(first.wait());
  auto reader = open_reader(folder.path).value();
  for (int i = 0; i < 5; ++i) {
    const auto into = copy.path / std::to_string(i);
    std::filesystem::create_directory(into);
    REQUIRE(reader->copy_to(into));
    auto copied = open_owner(into).value();
    CHECK(inconsistency(*copied) == "");
    CHECK(generation_in(*copied) > 5);
  }
  writer.kill();
}

TEST_CASE("a reader creates nothing and cannot write") {
  Folder folder;
  CHECK(open_reader(folder.path).error().code == Errc::not_found);
  CHECK(open_reader(folder.path / "none").error().code == Errc::not_found);
  CHECK(names_in(folder.path).empty());

  REQUIRE(fill(*open_owner(folder.path).value(), 10).value());
  CHECK(names_in(folder.path) ==
        std::set<std::string>{"daemon.lock", "data.mdb", "lock.mdb", "state-id"});
  for (const auto& name : names_in(folder.path)) {
    struct stat status {};
    REQUIRE(::stat((folder.path / name).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }

  // As mdb_copy leaves a backup.
  for (const auto* name : {"daemon.lock", "lock.mdb", "state-id"})
    std::filesystem::remove(folder.path / name);
  {
    auto store = open_reader(folder.path).value();
    CHECK(generation_in(*store) == 1);
    CHECK(store->write([](Transaction&) -> Result<bool> { return true; }).error().code ==
          Errc::permission);
    CHECK(names_in(folder.path) == std::set<std::string>{"data.mdb"});
  }
  // The marker that the backup lacks is made again.
  CHECK(open_owner(folder.path));
  CHECK(std::filesystem::exists(folder.path / "state-id"));
}

TEST_CASE("an owner waits for a reader that it cannot see") {
  Folder folder;
  REQUIRE(fill(*open_owner(folder.path).value(), 10).value());
  std::filesystem::remove(folder.path / "lock.mdb");
  Gate reading, done;
  Child reader([&] {
    const auto store = open_reader(folder.path);
    if (!store) return 1;
    reading.open();
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    // The owner could not have made it before we end.
    return std::filesystem::exists(folder.path / "lock.mdb") ? 2 : 0;
  });
  REQUIRE(reading.wait());
  CHECK(open_owner(folder.path));
  CHECK(reader.wait() == 0);
}

TEST_CASE("places in the table of readers that dead processes left are taken again") {
  Folder folder;
  REQUIRE(fill(*open_owner(folder.path).value(), 10).value());
  Gate owner_is_up, done;
  Child owner([&] {
    auto store = open_owner(folder.path);
    if (!store) return 1;
    owner_is_up.open();
    return done.wait() ? 0 : 2;
  });
  REQUIRE(owner_is_up.wait());
  // More than the 126 places there are.
  int dead = 0;
  for (int i = 0; i < 130; ++i) {
    Gate inside;
    Child reader([&] {
      auto store = open_reader(folder.path);
      if (!store) return 1;
      (void)(*store)->read([&](View&) -> Result<> {
        inside.open();
        std::this_thread::sleep_for(std::chrono::minutes(1));
        return {};
      });
      return 2;
    });
    if (inside.wait()) ++dead;
    reader.kill();
    reader.wait();
  }
  CHECK(dead == 130);
  done.open();
  CHECK(owner.wait() == 0);
}

// A state of schema 1 becomes one of schema 2, or stays what it is. data/schema-1.mdb was written
// by rcptsync 0.1.0 of the time of schema 1: two sources and `always`, one held address, two
// targets, and the generations 2 to 6, of which the third changes a row that no kept generation
// added.
#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <map>
#include <thread>

#include "base/file.hpp"
#include "catch.hpp"
#include "store/ledger.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

using recipient::ObjectClass;

std::string schema_1() {
  return read_file(RCPTSYNC_SCHEMA_1, 1UL << 20).value();
}

void put_file(const Folder& folder, std::string_view bytes) {
  std::ofstream(folder.data(), std::ios::binary | std::ios::trunc) << bytes;
}

std::string everything_in(const Folder& folder) {
  std::string all;
  const auto store = open_owner(folder.path).value();
  REQUIRE(store->read([&](View& view) -> Result<> {
    all = everything(view).value();
    return {};
  }));
  return all;
}

std::string upgraded() {
  const Folder folder;
  put_file(folder, schema_1());
  return everything_in(folder);
}

}  // namespace

TEST_CASE("a state of schema 1 has all that schema 2 wants, once its owner has opened it") {
  const Folder folder;
  put_file(folder, schema_1());
  const auto store = open_owner(folder.path).value();
  REQUIRE(store->read([&](View& view) -> Result<> {
    const auto meta = view.meta().value();
    CHECK(meta.schema == 2);
    CHECK(meta.generation == 6);
    CHECK(meta.accepted == 6);
    CHECK(meta.rules == sha256("rules"));
    CHECK(meta.classes == std::array<std::uint64_t, class_count>{2, 1, 2, 0, 0, 1});

    const auto sources = view.sources().value();
    REQUIRE(sources.size() == 2);
    CHECK(sources[0].name == "corp");
    CHECK(sources[0].cookie == "c1");
    CHECK(sources[0].accepted == 3);
    CHECK(sources[0].settings == Digest{});
    CHECK(sources[1].accepted == 1);
    CHECK(sources[1].unconfirmed);

    const auto row = [&](std::string_view address) { return view.recipient(address).value(); };
    CHECK(row("anna@example.com") == RecipientRecord{"", 2, true, 1, ObjectClass::user});
    CHECK(row("held@example.com") == RecipientRecord{"", 2, false, 0, ObjectClass::other});
    CHECK(row("left@example.com") ==
          RecipientRecord{"550 5.1.1 has left", 5, false, 1, ObjectClass::contact});
    CHECK(row("list@example.net") == RecipientRecord{"", 6, true, 2, ObjectClass::entry});
    CHECK(row("postmaster@example.com") == RecipientRecord{"", 2, false, 0, ObjectClass::other});
    CHECK(row("shared@example.com") == RecipientRecord{"", 3, true, 1, ObjectClass::group});
    const auto owners = view.owners("anna@example.com").value();
    REQUIRE(owners.size() == 2);
    CHECK(owners[0].kind == ObjectClass::user);
    CHECK(owners[1].kind == ObjectClass::entry);
    CHECK(owners[1].reject == "550 no");
    CHECK(view.mentions("anna@old.example.com").value() ==
          std::vector<std::pair<SourceId, std::string>>{{1, "anna"}, {1, "staff"}});
    CHECK(view.mentions("anna@example.com").value().empty());
    CHECK(view.object(1, "anna").value()->values.size() == 2);

    CHECK(view.held("held@example.com").value() == HeldRecord{"550 5.1.1 gone", false});
    CHECK(view.hold().value()->reason == "too many");
    CHECK(view.target("mx1").value()->judged);
    CHECK(view.target("mx2").value()->hold->removed == 9);
    return {};
  }));
}

TEST_CASE("of the history of schema 1 stays what can be made again") {
  const Folder folder;
  put_file(folder, schema_1());
  const auto store = open_owner(folder.path).value();
  REQUIRE(store->read([&](View& view) -> Result<> {
    // What shared@example.com said before generation 3 was not written.
    CHECK_FALSE(view.generation(2).value());
    CHECK(view.generations(9).value().size() == 4);
    CHECK(view.generation(3).value()->digest == sha256("3"));
    std::map<std::string, std::string> rows;
    CHECK(each_row_of(view, 3, [&](std::string_view address, std::string_view reject) {
      return rows.emplace(address, reject).second;
    }));
    CHECK(rows == std::map<std::string, std::string>{{"anna@example.com", ""},
                                                     {"held@example.com", ""},
                                                     {"left@example.com", ""},
                                                     {"postmaster@example.com", ""},
                                                     {"shared@example.com", ""},
                                                     {"temp@example.com", "450 wait"}});
    std::vector<Change> changes;
    CHECK(view.each_change(6, [&](const Change& change) {
      changes.push_back(change);
      return true;
    }));
    CHECK(changes ==
          std::vector<Change>{{Operation::changed, "anna@example.com", "", "550 5.1.1 away", 0, {}},
                              {Operation::added, "list@example.net", "", "", 0, {}}});
    return {};
  }));
}

TEST_CASE("a reader leaves a state of schema 1 alone and says who brings it up") {
  const Folder folder;
  put_file(folder, schema_1());
  const auto refused = open_reader(folder.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::foreign);
  CHECK(refused.error().message.find("start rcptsyncd once") != std::string::npos);
  CHECK(refused.error().message.find(folder.data().native()) != std::string::npos);
  CHECK(read_file(folder.data(), 1UL << 20).value() == schema_1());
  const auto before = everything_in(folder);
  CHECK(open_reader(folder.path));
  CHECK(everything_in(folder) == before);
}

TEST_CASE("a state of schema 1 that is killed while it is brought up is whole") {
  const auto expected = upgraded();
  SeededRandom random(system_random().next());
  int was_old = 0;
  for (int round = 0; round < 80; ++round) {
    const Folder folder;
    put_file(folder, schema_1());
    Gate begins;
    Child owner([&] {
      begins.open();
      return open_owner(folder.path) ? 0 : 1;
    });
    REQUIRE(begins.wait());
    std::this_thread::sleep_for(std::chrono::microseconds(random.next() % 3000));
    owner.kill();
    owner.wait();
    was_old += open_reader(folder.path) ? 0 : 1;
    REQUIRE(everything_in(folder) == expected);
  }
  CHECK(was_old > 0);  // else the moments were too late
}

TEST_CASE("a state of schema 1 is brought up in a small map, or stays where none is allowed") {
  const auto expected = upgraded();
  const Folder folder;
  put_file(folder, schema_1());
  const auto refused = open_owner(folder.path, {1 << 16, 1 << 16});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::no_space);
  CHECK_FALSE(open_reader(folder.path));
  {
    const auto grown = open_owner(folder.path, {1 << 16, 1ULL << 40});
    REQUIRE(grown);
  }
  CHECK(everything_in(folder) == expected);
}

TEST_CASE("a damaged state of schema 1 is refused and stays, or becomes what the whole one does") {
  const auto expected = upgraded();
  const auto whole = schema_1();
  const std::uint64_t seed = system_random().next();
  INFO("seed " << seed);
  SeededRandom random(seed);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    auto bytes = whole;
    for (auto left = 1 + random.next() % 8; left > 0; --left)
      bytes[random.next() % bytes.size()] = static_cast<char>(random.next());
    const Folder folder;
    put_file(folder, bytes);
    const auto outcome = Child([&] {
                           const auto store = open_owner(folder.path);
                           if (!store) return 1;
                           std::string seen;
                           const auto read = (*store)->read([&](View& view) -> Result<> {
                             auto all = everything(view);
                             if (!all) return all.error();
                             seen = std::move(*all);
                             return {};
                           });
                           return !read ? 1 : seen == expected ? 2 : 3;
                         }).wait();
    INFO("round " << round << ": " << outcome);
    REQUIRE((outcome == 1 || outcome == 2));
    refused += outcome == 1 ? 1 : 0;
  }
  CHECK(refused > 50);
}

// What is put is found again, within the limits that the header promises.
#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

constexpr auto user = recipient::ObjectClass::user;
constexpr auto group = recipient::ObjectClass::group;

std::unique_ptr<Store> open(const Folder& folder) {
  auto store = open_owner(folder.path);
  REQUIRE(store);
  return std::move(*store);
}

std::vector<std::string> keys_of(View& view, SourceId source) {
  std::vector<std::string> keys;
  REQUIRE(view.each_hash(source, [&](std::string_view key, const StoredHash&) {
    return keys.emplace_back(key), true;
  }));
  return keys;
}

}  // namespace

TEST_CASE("a new state is empty and has a name and a secret of its own") {
  Folder one, two;
  Meta metas[2];
  int i = 0;
  for (const auto* folder : {&one, &two}) {
    auto store = open(*folder);
    REQUIRE(store->read([&](View& view) -> Result<> {
      metas[i++] = view.meta().value();
      CHECK(view.sources().value().empty());
      CHECK(view.generations(10).value().empty());
      CHECK_FALSE(view.hold().value());
      CHECK_FALSE(view.recipient("a@example.com").value());
      return {};
    }));
  }
  CHECK(metas[0].schema == 2);
  CHECK(metas[0].generation == 0);
  CHECK(metas[0].state_id.size() == 32);
  CHECK(metas[0].state_id != metas[1].state_id);
  CHECK(metas[0].hash_seed != metas[1].hash_seed);
}

TEST_CASE("everything survives closing and opening") {
  Folder folder;
  std::string before;
  {
    auto store = open(folder);
    REQUIRE(fill(*store, 300).value());
    REQUIRE(
        store
            ->write([](Transaction& transaction) -> Result<bool> {
              TargetRecord target;
              target.name = "mx2";
              target.last_error = "no route\n";
              REQUIRE(transaction.put_target(target));
              REQUIRE(transaction.put_held("gone@example.com", {"550 5.1.1 gone", true}));
              REQUIRE(transaction.put_hold(Hold{sha256("h"), WallTime{}, 0, 1, "max_removals"}));
              return true;
            })
            .value());
    REQUIRE(store->read([&](View& view) -> Result<> {
      before = everything(view).value();
      return {};
    }));
  }
  CHECK(before.find("target mx2") != std::string::npos);
  CHECK(before.find("held gone@example.com 550") != std::string::npos);
  auto store = open(folder);
  REQUIRE(store->read([&](View& view) -> Result<> {
    CHECK(everything(view).value() == before);
    return {};
  }));
}

TEST_CASE("put replaces, erase forgets, and what is not there can be erased") {
  Folder folder;
  auto store = open(folder);
  REQUIRE(store
              ->write([](Transaction& transaction) -> Result<bool> {
                for (const auto* reject : {"", "550 one", "450 another, longer one"}) {
                  REQUIRE(transaction.put_recipient("a@example.com", {reject, 3, false}));
                  CHECK(transaction.recipient("a@example.com").value() ==
                        RecipientRecord{reject, 3, false});
                }
                REQUIRE(transaction.erase_recipient("a@example.com"));
                REQUIRE(transaction.erase_recipient("a@example.com"));
                CHECK_FALSE(transaction.recipient("a@example.com").value());

                REQUIRE(transaction.put_domain("example.com", {5, 4}));
                CHECK(transaction.domain("example.com").value()->supplied == 4);
                REQUIRE(transaction.put_domain("example.com", {0, 0}));
                CHECK(transaction.domains().value().empty());

                REQUIRE(transaction.put_hold(Hold{}));
                CHECK(transaction.hold().value() == Hold{});
                REQUIRE(transaction.put_hold(std::nullopt));
                CHECK_FALSE(transaction.hold().value());

                REQUIRE(transaction.put_held("h@example.com", {}));
                REQUIRE(transaction.erase_held("h@example.com"));
                REQUIRE(transaction.erase_source(9));
                REQUIRE(transaction.erase_target("none"));
                return true;
              })
              .value());
}

TEST_CASE("what an operator and a pin leave behind is found by address, and in order") {
  Folder folder;
  auto store = open(folder);
  const WallTime when = WallTime(std::chrono::seconds(1700000000));
  const Refusal refusal{sha256("b"), when, "root", 2};
  const Change waits{Operation::changed, "a@x", "550 no", "450 later", 7, group};
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                for (const auto* address : {"b@x", "a@x", "c@x"}) {
                  REQUIRE(transaction.put_held(address, {address, true}));
                  REQUIRE(transaction.put_refused(address, sha256(address)));
                  REQUIRE(transaction.put_grace(address, when));
                }
                REQUIRE(transaction.put_refusal(refusal));
                REQUIRE(transaction.put_refusal({sha256("a"), when, "", 0}));
                REQUIRE(transaction.put_pending({Operation::removed, "b@x", "", "550", 1, user}));
                REQUIRE(transaction.put_pending(waits));
                REQUIRE(transaction.erase_held("b@x"));
                REQUIRE(transaction.erase_refused("b@x"));
                REQUIRE(transaction.erase_grace("b@x"));
                REQUIRE(transaction.erase_pending("b@x"));
                REQUIRE(transaction.erase_refusal(sha256("a")));
                return true;
              })
              .value());
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                CHECK(transaction.held("a@x").value() == HeldRecord{"a@x", true});
                CHECK_FALSE(transaction.held("b@x").value());
                CHECK(transaction.refused("c@x").value() == sha256("c@x"));
                CHECK_FALSE(transaction.refused("b@x").value());
                CHECK(transaction.grace("a@x").value() == when);
                CHECK_FALSE(transaction.grace("b@x").value());
                CHECK(transaction.refusals().value() == std::vector<Refusal>{refusal});
                std::string seen;
                REQUIRE(
                    transaction.each_refused([&](std::string_view address, const Digest& digest) {
                      CHECK(digest == sha256(address));
                      seen += address;
                      return true;
                    }));
                REQUIRE(transaction.each_grace([&](std::string_view address, WallTime gone) {
                  CHECK(gone == when);
                  seen += address;
                  return true;
                }));
                REQUIRE(transaction.each_pending([&](const Change& change) {
                  CHECK(change == waits);
                  seen += change.address;
                  return true;
                }));
                CHECK(seen == "a@xc@xa@xc@xa@x");
                REQUIRE(transaction.clear_pending());
                REQUIRE(transaction.each_pending([&](const Change&) {
                  FAIL("nothing is pending");
                  return true;
                }));
                return true;
              })
              .value());
}

TEST_CASE("what the rules drop is found by its address, and not by one that begins with it") {
  Folder folder;
  auto store = open(folder);
  using Mentions = std::vector<std::pair<SourceId, std::string>>;
  REQUIRE(
      store
          ->write([&](Transaction& transaction) -> Result<bool> {
            REQUIRE(transaction.put_mention("a@x", 300, "k"));
            REQUIRE(transaction.put_mention("a@x", 2, "z"));
            REQUIRE(transaction.put_mention("a@x", 2, "b"));
            REQUIRE(transaction.put_mention("a@xx", 1, "k"));
            CHECK(transaction.mentions("a@x").value() == Mentions{{2, "b"}, {2, "z"}, {300, "k"}});
            REQUIRE(transaction.erase_mention("a@x", 2, "b"));
            CHECK(transaction.mentions("a@x").value() == Mentions{{2, "z"}, {300, "k"}});
            CHECK(transaction.mentions("a@").value().empty());
            return true;
          })
          .value());
}

TEST_CASE("the losses of a target are its own, and each put replaces them") {
  Folder folder;
  auto store = open(folder);
  const std::string longest(255, 'm');
  const auto losses = [](View& view, std::string_view target) {
    std::vector<std::string> all;
    REQUIRE(view.each_loss(target, [&](std::string_view address) {
      all.emplace_back(address);
      return true;
    }));
    return all;
  };
  using Addresses = std::vector<std::string>;
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                REQUIRE(transaction.put_losses("mx1", Addresses{"b@x", "a@x"}));
                REQUIRE(transaction.put_losses("mx10", Addresses{"c@x"}));
                REQUIRE(transaction.put_losses("mx", Addresses{"d@x"}));
                REQUIRE(transaction.put_losses(longest, Addresses{longest}));
                CHECK(losses(transaction, "mx1") == Addresses{"a@x", "b@x"});
                REQUIRE(transaction.put_losses("mx1", Addresses{"e@x"}));
                CHECK(losses(transaction, "mx1") == Addresses{"e@x"});
                REQUIRE(transaction.put_losses("mx1", {}));
                CHECK(losses(transaction, "mx1").empty());
                CHECK(losses(transaction, "mx10") == Addresses{"c@x"});
                CHECK(losses(transaction, "mx") == Addresses{"d@x"});
                CHECK(losses(transaction, longest) == Addresses{longest});
                CHECK(transaction.put_losses("", {}).error().code == Errc::invalid);
                return true;
              })
              .value());
}

TEST_CASE("objects belong to their source and come in the order of their keys") {
  Folder folder;
  auto store = open(folder);
  const std::string binary("\0\xff\0", 3);
  const std::string longest(128, 'k');
  REQUIRE(
      store
          ->write([&](Transaction& transaction) -> Result<bool> {
            for (const SourceId source : {SourceId{1}, SourceId{0x0100}, SourceId{0xffff}})
              for (const auto& key : {longest, std::string("b"), binary, std::string("a")}) {
                ObjectRecord record;
                record.hash.low = source;
                record.origin = key;
                REQUIRE(transaction.put_object(source, key, record));
              }
            REQUIRE(transaction.erase_object(0x0100, "b"));
            CHECK(keys_of(transaction, 1) == std::vector<std::string>{binary, "a", "b", longest});
            CHECK(keys_of(transaction, 0x0100) == std::vector<std::string>{binary, "a", longest});
            CHECK(keys_of(transaction, 0xffff).size() == 4);
            CHECK(keys_of(transaction, 2).empty());
            CHECK(transaction.object(0xffff, binary).value()->hash.low == 0xffff);
            int seen = 0;
            REQUIRE(
                transaction.each_object(1, [&](std::string_view key, const ObjectRecord& record) {
                  CHECK(record.origin == key);
                  return ++seen < 2;
                }));
            CHECK(seen == 2);

            CHECK(transaction.put_object(1, longest + "k", {}).error().code == Errc::limit);
            CHECK(transaction.put_object(1, "", {}).error().code == Errc::invalid);
            CHECK_FALSE(transaction.object(1, longest + "k").value());
            CHECK_FALSE(transaction.object(1, "").value());
            return true;
          })
          .value());
}

TEST_CASE("an object may have more values than fit on a page") {
  Folder folder;
  auto store = open(folder);
  ObjectRecord big;
  for (int i = 0; i < 20000; ++i) {
    const auto address = "alias" + std::to_string(i) + "@example.com";
    big.values.push_back({"proxyAddresses", "smtp:" + address, address, {}, {}, 0});
  }
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                REQUIRE(transaction.put_object(1, "group", big));
                return true;
              })
              .value());
  REQUIRE(store->read([&](View& view) -> Result<> {
    CHECK(view.object(1, "group").value() == big);
    return {};
  }));
}

TEST_CASE("a record beyond all measure is refused, and the transaction goes on") {
  Folder folder;
  auto store = open(folder);
  ObjectRecord monster;
  monster.origin.assign(65UL << 20, 'x');
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                CHECK(transaction.put_object(1, "monster", monster).error().code == Errc::limit);
                REQUIRE(transaction.put_recipient("a@example.com", {}));
                return true;
              })
              .value());
}

TEST_CASE("the owners of an address are its own, by source and key") {
  Folder folder;
  auto store = open(folder);
  const std::string longest = std::string(243, 'a') + "@example.com";
  REQUIRE(longest.size() == 255);
  REQUIRE(
      store
          ->write([&](Transaction& transaction) -> Result<bool> {
            REQUIRE(transaction.put_owner("a@example.com", {2, "k2", group, ""}));
            REQUIRE(transaction.put_owner("a@example.com", {1, "z", user, "550 x"}));
            REQUIRE(transaction.put_owner("a@example.com", {1, std::string("\0", 1)}));
            REQUIRE(transaction.put_owner("a@example.com", {0, ""}));
            REQUIRE(transaction.put_owner("a@example.co", {1, "k"}));
            REQUIRE(transaction.put_owner("a@example.comm", {1, "k"}));
            REQUIRE(transaction.put_owner(longest, {65535, std::string(128, '\xff'), user, "r"}));
            const auto owners = transaction.owners("a@example.com").value();
            REQUIRE(owners.size() == 4);
            CHECK(owners[0].source == 0);
            CHECK(owners[0].key.empty());
            CHECK(owners[1].key == std::string("\0", 1));
            CHECK(owners[2].reject == "550 x");
            CHECK(owners[2].kind == user);
            CHECK(owners[3].kind == group);
            CHECK(owners[3].source == 2);
            CHECK(transaction.owners(longest).value().at(0).key == std::string(128, '\xff'));
            REQUIRE(transaction.erase_owner("a@example.com", 1, "z"));
            CHECK(transaction.owners("a@example.com").value().size() == 3);

            CHECK(transaction.put_owner(longest + "m", {1, "k"}).error().code == Errc::limit);
            CHECK(transaction.put_owner("a@b", {1, std::string(129, 'k')}).error().code ==
                  Errc::limit);
            // It would be read as an owner of "a".
            CHECK(transaction.put_owner(std::string("a\0b", 3), {1, "k"}).error().code ==
                  Errc::invalid);
            CHECK(transaction.owners(longest + "m").value().empty());
            return true;
          })
          .value());
}

TEST_CASE("every owned address is visited once, with all who own it") {
  Folder folder;
  auto store = open(folder);
  REQUIRE(store->write([](Transaction& transaction) -> Result<bool> {
    for (const auto* address : {"b@example.com", "a@example.com", "a@example.com.au"})
      for (const SourceId source : std::initializer_list<SourceId>{2, 1})
        CHECK(transaction.put_owner(address, {source, "key", user, source == 2 ? "550 no" : ""}));
    CHECK(transaction.put_owner("@example.net", {configuration_source, ""}));
    return true;
  }));
  std::vector<std::string> visited;
  REQUIRE(store->read([&](View& view) -> Result<> {
    CHECK(view.each_owned(
        [&](std::string_view address, const std::vector<Owner>& owners) -> Result<bool> {
          visited.emplace_back(address);
          const auto alone = view.owners(address).value();
          REQUIRE(owners.size() == alone.size());
          for (std::size_t i = 0; i < owners.size(); ++i) {
            CHECK(owners[i].source == alone[i].source);
            CHECK(owners[i].key == alone[i].key);
            CHECK(owners[i].reject == alone[i].reject);
          }
          return address != "a@example.com.au";
        }));
    return {};
  }));
  CHECK(visited == std::vector<std::string>{"@example.net", "a@example.com", "a@example.com.au"});
}

TEST_CASE("a digest is noted later, and nothing else of the generation changes") {
  Folder folder;
  auto store = open(folder);
  const std::vector<Change> changes{{Operation::added, "a@example.com", {}}};
  REQUIRE(store->write([&](Transaction& transaction) -> Result<bool> {
    Generation generation;
    generation.number = 7;
    generation.total = 1;
    CHECK(transaction.put_generation(generation, changes));
    CHECK_FALSE(transaction.put_digest(8, sha256("")));
    return true;
  }));
  REQUIRE(store->write([](Transaction& transaction) -> Result<bool> {
    CHECK(transaction.put_digest(7, sha256("table")));
    return true;
  }));
  REQUIRE(store->read([&](View& view) -> Result<> {
    const auto generation = view.generation(7).value();
    REQUIRE(generation);
    CHECK(generation->digest == sha256("table"));
    CHECK(generation->total == 1);
    std::vector<Change> found;
    CHECK(view.each_change(7, [&](const Change& change) {
      found.push_back(change);
      return true;
    }));
    CHECK(found == changes);
    return {};
  }));
}

TEST_CASE("recipients come in bytewise order, put in any order") {
  Folder folder;
  auto store = open(folder);
  std::vector<std::string> addresses{
      "b@x", "a@x", "@x", "zz@x", "\xc3\xa4@x", "a@xx", "A", "z@x", std::string(255, 'l')};
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                for (const auto& address : addresses)
                  REQUIRE(transaction.put_recipient(address, {}));
                CHECK(transaction.put_recipient(std::string(256, 'l'), {}).error().code ==
                      Errc::limit);
                CHECK(transaction.put_recipient("", {}).error().code == Errc::invalid);
                CHECK(transaction.put_held(std::string(256, 'l'), {}).error().code == Errc::limit);
                CHECK(transaction.put_domain(std::string(256, 'l'), {1, 1}).error().code ==
                      Errc::limit);
                return true;
              })
              .value());
  std::sort(addresses.begin(), addresses.end());
  std::vector<std::string> seen;
  REQUIRE(store->read([&](View& view) -> Result<> {
    return view.each_recipient([&](std::string_view address, const RecipientRecord&) {
      return seen.emplace_back(address), true;
    });
  }));
  CHECK(seen == addresses);
}

TEST_CASE("the changes of a generation come back in order, however many") {
  Folder folder;
  auto store = open(folder);
  std::vector<Change> changes;
  for (int i = 0; i < 30000; ++i)
    changes.push_back({i % 2 == 0 ? Operation::added : Operation::changed,
                       "user" + std::to_string(1000000 + i) + "@example.com",
                       i % 100 == 0 ? std::string(500, 'r') : ""});
  const auto read_back = [](View& view, std::uint64_t number) {
    std::vector<Change> seen;
    REQUIRE(view.each_change(number,
                             [&](const Change& change) { return seen.push_back(change), true; }));
    return seen;
  };
  const auto with_number = [](std::uint64_t number) {
    Generation generation;
    generation.number = number;
    return generation;
  };
  REQUIRE(
      store
          ->write([&](Transaction& transaction) -> Result<bool> {
            REQUIRE(transaction.put_generation(with_number(1), changes));
            REQUIRE(transaction.put_generation(with_number(2), {}));
            REQUIRE(transaction.put_generation(with_number(256), {changes[0]}));
            CHECK(read_back(transaction, 1) == changes);
            CHECK(read_back(transaction, 2).empty());
            CHECK(read_back(transaction, 3).empty());

            // A shorter one in its place leaves no piece of the longer one behind.
            REQUIRE(transaction.put_generation(with_number(1), {changes[1]}));
            CHECK(read_back(transaction, 1) == std::vector<Change>{changes[1]});

            const auto newest = transaction.generations(2).value();
            REQUIRE(newest.size() == 2);
            CHECK(newest[0].number == 256);
            CHECK(newest[1].number == 2);
            CHECK(transaction.generation(256).value()->number == 256);
            CHECK_FALSE(transaction.generation(3).value());

            REQUIRE(transaction.erase_generations_before(256));
            CHECK(transaction.generations(9).value().size() == 1);
            CHECK(read_back(transaction, 1).empty());
            CHECK(read_back(transaction, 256) == std::vector<Change>{changes[0]});
            CHECK(
                transaction.put_generation(with_number(3), {changes[1], changes[0]}).error().code ==
                Errc::internal);
            return true;
          })
          .value());
}

TEST_CASE("what names a state cannot be changed") {
  Folder folder;
  auto store = open(folder);
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                auto meta = transaction.meta().value();
                meta.pinned = 7;
                REQUIRE(transaction.put_meta(meta));
                CHECK(transaction.meta().value().pinned == 7);
                CHECK(transaction.put_meta(Meta{}).error().code == Errc::internal);
                CHECK(transaction.put_source(SourceRecord{}).error().code == Errc::invalid);
                return true;
              })
              .value());
}

TEST_CASE("a visitor may change other tables") {
  Folder folder;
  auto store = open(folder);
  REQUIRE(fill(*store, 2000).value());
  REQUIRE(store
              ->write([&](Transaction& transaction) -> Result<bool> {
                std::uint64_t seen = 0;
                REQUIRE(transaction.each_recipient(
                    [&](std::string_view address, const RecipientRecord&) {
                      REQUIRE(transaction.erase_owner(address, 1, ""));
                      REQUIRE(transaction.put_held(address, {std::string(200, 'x'), false}));
                      REQUIRE(transaction.recipient(address).value());
                      ++seen;
                      return true;
                    }));
                CHECK(seen == 2000);
                return true;
              })
              .value());
}

TEST_CASE("a copy is a state of its own that can be opened") {
  Folder folder, copy, full;
  std::string before;
  {
    auto store = open(folder);
    REQUIRE(fill(*store, 3000).value());
    SeededRandom random(5);
    for (int i = 0; i < 20; ++i) REQUIRE(advance(*store, random, 50).value());
    REQUIRE(store->read([&](View& view) -> Result<> {
      before = everything(view).value();
      return {};
    }));
    REQUIRE(store->copy_to(copy.path));
    CHECK(store->copy_to(copy.path).error().code == Errc::invalid);
    CHECK(store->copy_to(full.path / "none").error().code == Errc::not_found);
  }
  CHECK((std::filesystem::status(copy.data()).permissions() & std::filesystem::perms::mask) ==
        std::filesystem::perms(0600));
  auto store = open(copy);
  REQUIRE(store->read([&](View& view) -> Result<> {
    CHECK(everything(view).value() == before);
    return {};
  }));
}

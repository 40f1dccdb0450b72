// What one read changes, against a plain model; and what an unchanged object costs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "allocations.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "sync/object_table.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;
using recipient::Drop;
using recipient::Object;
using recipient::ObjectClass;
using recipient::Value;

namespace {

const ObjectHasher hasher(42);

/// An object of the model: a key, and a number that stands for all that can change.
struct Plain {
  std::string key;
  unsigned content = 0;
  std::string origin, text;
  std::vector<Value> values;

  Plain(std::string name, unsigned what)
      : key(std::move(name)),
        content(what),
        origin(fmt::format("cn={}", what / 2)),
        text(fmt::format("smtp:user{}@example.com", what)) {
    values = {{"proxyAddresses", text, {}}, {"mail", "same@example.com", {}}};
    // A directory gives values in any order.
    if (what % 2 == 1) std::swap(values[0], values[1]);
  }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  [[nodiscard]] Object object() const {
    return {key, origin, ObjectClass::user, Drop::kept, values};
  }
};

std::string some_key(Random& random) {
  const auto number = random.next() % 40;
  return number % 5 == 0 ? fmt::format("file:{}", number) : fmt::format("{:016}", number);
}

std::vector<std::string> keys_of(const ChangedObjects& objects) {
  std::vector<std::string> keys;
  for (const auto& object : objects) keys.emplace_back(object.key);
  return keys;
}

}  // namespace

TEST_CASE("a read session finds what a plain comparison finds") {
  const auto seed = GENERATE(range(1, 201));
  CAPTURE(seed);
  SeededRandom random(static_cast<std::uint64_t>(seed));
  const bool full = seed % 2 == 0;

  KnownObjects known(random.next());
  std::map<std::string, unsigned> before;
  for (int i = 0; i < 25; ++i) {
    const Plain plain(some_key(random), static_cast<unsigned>(random.next() % 4));
    known.put(plain.key, hasher(plain.object()));
    before[plain.key] = plain.content;
  }

  ReadSession session(known, hasher);
  // The last word on each key; nothing: it was said to be gone.
  std::map<std::string, std::optional<unsigned>> said;
  for (int i = 0; i < 80; ++i) {
    const auto dice = random.next() % 100;
    if (dice == 0) {
      session.restart();
      said.clear();
    } else if (dice < 15) {
      const auto key = some_key(random);
      session.remove(key);
      said[key] = std::nullopt;
    } else {
      const Plain plain(some_key(random), static_cast<unsigned>(random.next() % 4));
      session.upsert(plain.object());
      said[plain.key] = plain.content;
    }
  }

  std::map<std::string, unsigned> upserts;
  std::set<std::string> removals;
  std::uint64_t seen = 0;
  for (const auto& [key, content] : said) {
    if (content) ++seen;
    if (content && (!before.contains(key) || before[key] != *content)) upserts[key] = *content;
    if (!content && before.contains(key)) removals.insert(key);
  }
  if (full)
    for (const auto& [key, content] : before)
      if (!said.contains(key)) removals.insert(key);

  const auto changes = session.finish(full);
  CHECK(changes.seen == seen);
  CHECK(std::is_sorted(changes.removals.begin(), changes.removals.end()));
  CHECK(std::set<std::string>(changes.removals.begin(), changes.removals.end()) == removals);
  CHECK(changes.removals.size() == removals.size());
  CHECK(changes.upserts.size() == upserts.size());
  const auto keys = keys_of(changes.upserts);
  CHECK(std::is_sorted(keys.begin(), keys.end()));
  for (const auto& object : changes.upserts) {
    const std::string key(object.key);
    REQUIRE(upserts.contains(key));
    const Plain plain(key, upserts[key]);
    CHECK(object.hash == hasher(plain.object()));
    CHECK(object.origin == plain.origin);
    REQUIRE(object.values.size() == 2);
    CHECK(object.values[0].text == plain.values[0].text);
    CHECK(object.values[0].attribute == plain.values[0].attribute);
  }
}

TEST_CASE("the later word on an object counts, also when it takes a change back") {
  const Plain old("0123456789abcdef", 0);
  const Plain other("0123456789abcdef", 2);
  KnownObjects known;
  known.put(old.key, hasher(old.object()));
  ReadSession session(known, hasher);
  SECTION("changed, then as it was") {
    session.upsert(other.object());
    session.upsert(old.object());
  }
  SECTION("gone, then as it was") {
    session.remove(old.key);
    session.upsert(old.object());
  }
  SECTION("changed, gone, then as it was") {
    session.upsert(other.object());
    session.remove(old.key);
    session.upsert(old.object());
  }
  const auto changes = session.finish(true);
  CHECK(changes.empty());
  CHECK(changes.seen == 1);
}

TEST_CASE("a full read in which nothing was seen removes everything; an incremental one nothing") {
  KnownObjects known;
  known.put("b", {});
  known.put("a", {});
  CHECK(ReadSession(known, hasher).finish(true).removals == std::vector<std::string>{"a", "b"});
  CHECK(ReadSession(known, hasher).finish(false).empty());
}

TEST_CASE("keys sort bytewise, also where they are alike for eight bytes or more") {
  const std::vector<std::string> keys{std::string("a\0", 2), "a",       "abcdefgh",
                                      "abcdefghi",           "\xff",    "abcdefgz",
                                      "abcdefgh\xff",        "abcdefg", "b"};
  const KnownObjects known;
  ReadSession session(known, hasher);
  for (const auto& key : keys) session.upsert(Plain(key, 1).object());
  auto sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  const auto changes = session.finish(true);
  CHECK(keys_of(changes.upserts) == sorted);
}

TEST_CASE("an unchanged object allocates nothing") {
  std::vector<std::unique_ptr<Plain>> objects;
  KnownObjects known;
  for (unsigned i = 0; i < 1000; ++i) {
    objects.push_back(std::make_unique<Plain>(fmt::format("{:016}", i), i));
    known.put(objects.back()->key, hasher(objects.back()->object()));
  }
  ReadSession session(known, hasher);
  const auto before = allocations();
  for (const auto& object : objects) session.upsert(object->object());
  CHECK(allocations() == before);
  CHECK(session.finish(true).empty());
}

TEST_CASE("a source that repeats itself does not fill the memory") {
  const KnownObjects known;
  ReadSession session(known, hasher);
  for (unsigned i = 0; i < 100'000; ++i) session.upsert(Plain("same", i).object());
  const auto changes = session.finish(true);
  REQUIRE(changes.upserts.size() == 1);
  CHECK(changes.upserts[0].values[1].text == "smtp:user99999@example.com");
  CHECK(changes.upserts.memory() < 100'000);
}

TEST_CASE("a session can be used again after it was finished") {
  KnownObjects known;
  known.put("a", hasher(Plain("a", 1).object()));
  ReadSession session(known, hasher);
  session.upsert(Plain("b", 1).object());
  CHECK(session.finish(true).removals.size() == 1);
  session.upsert(Plain("a", 1).object());
  CHECK(session.finish(true).empty());
}

// The table of known objects against a std::map that is told the same.
#include <fmt/format.h>

#include <map>

#include "base/random.hpp"
#include "catch.hpp"
#include "sync/object_table.hpp"

using namespace rcptsync;
using namespace rcptsync::sync;

namespace {

/// Mostly GUIDs, some of other lengths, from a small world so that keys meet again.
std::string some_key(Random& random) {
  const auto number = random.next() % 300;
  switch (random.next() % 4) {
    case 0:
      return fmt::format("{}", number);
    case 1:
      return fmt::format("{:0{}}", number, 17 + number % 112);
    default:
      return fmt::format("{:016}", number);
  }
}

void check_equal(const KnownObjects& table, const std::map<std::string, ObjectHash>& model) {
  REQUIRE(table.size() == model.size());
  std::map<std::string, ObjectHash> listed;
  for (std::size_t position = 0; position < table.positions(); ++position)
    listed[std::string(table.key_at(position))] = table.hash_at(position);
  REQUIRE(listed == model);
  for (const auto& [key, hash] : model) {
    const auto position = table.find(key);
    REQUIRE(position < table.positions());
    REQUIRE(table.key_at(position) == key);
    REQUIRE(table.hash_at(position) == hash);
  }
}

}  // namespace

TEST_CASE("known objects: random operations, as a map would answer") {
  const auto seed = GENERATE(range(1, 41));
  CAPTURE(seed);
  SeededRandom random(static_cast<std::uint64_t>(seed));
  KnownObjects table(random.next());
  std::map<std::string, ObjectHash> model;
  // Some worlds grow, some shrink again to nothing.
  const auto erasing = 20 + random.next() % 60;
  for (int step = 0; step < 3000; ++step) {
    const auto key = some_key(random);
    if (random.next() % 100 < erasing) {
      table.erase(key);
      model.erase(key);
    } else {
      const ObjectHash hash{random.next(), random.next()};
      table.put(key, hash);
      model[key] = hash;
    }
    if (random.next() % 500 == 0) table.reserve(random.next() % 1000);
    const auto probe = some_key(random);
    REQUIRE((table.find(probe) != KnownObjects::npos) == model.contains(probe));
    if (step % 100 == 0) check_equal(table, model);
  }
  check_equal(table, model);
  while (table.size() > 0) table.erase(table.key_at(random.next() % table.size()));
  CHECK(table.positions() == 0);
  for (const auto& [key, hash] : model) REQUIRE(table.find(key) == KnownObjects::npos);
}

TEST_CASE("known objects: an empty table answers") {
  KnownObjects table;
  table.erase("a");
  CHECK(table.find("a") == KnownObjects::npos);
  CHECK(table.size() == 0);
  CHECK(table.positions() == 0);
}

TEST_CASE("known objects: a key is its bytes, zero bytes included") {
  KnownObjects table;
  const std::string zeros(16, '\0');
  const std::string longer(17, '\0');
  const std::string shorter(15, '\0');
  table.put(zeros, {1, 1});
  CHECK(table.find(longer) == KnownObjects::npos);
  CHECK(table.find(shorter) == KnownObjects::npos);
  table.put(longer, {2, 2});
  table.put(shorter, {3, 3});
  CHECK(table.hash_at(table.find(zeros)) == ObjectHash{1, 1});
  CHECK(table.hash_at(table.find(longer)) == ObjectHash{2, 2});
  CHECK(table.hash_at(table.find(shorter)) == ObjectHash{3, 3});
}

TEST_CASE("known objects: about 48 bytes for an object with a 16-byte key") {
  constexpr std::size_t count = 200'000;
  SeededRandom random(7);
  const auto fill = [&](KnownObjects& table) {
    for (std::size_t i = 0; i < count; ++i) table.put(random_hex(random, 8), {i, i});
  };
  KnownObjects reserved;
  reserved.reserve(count);
  fill(reserved);
  CHECK(reserved.memory() / count <= 48);
  KnownObjects grown;
  fill(grown);
  CHECK(grown.memory() / count <= 56);
}

TEST_CASE("known objects: keys that come and go leave no memory behind") {
  KnownObjects table;
  for (int i = 0; i < 100'000; ++i) {
    table.put(fmt::format("a file's line {:040}", i), {});
    if (i >= 10) table.erase(fmt::format("a file's line {:040}", i - 10));
  }
  CHECK(table.size() == 10);
  CHECK(table.memory() < 10'000);
}

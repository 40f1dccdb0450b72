// What the hash of an object sees and what it does not.
#include <algorithm>
#include <set>

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

ObjectHash hash_of(const std::vector<Value>& values) {
  return hasher(Object{"0123456789abcdef", "cn=a", ObjectClass::user, Drop::kept, values});
}

}  // namespace

TEST_CASE("the order of values does not matter") {
  std::vector<Value> values{{"mail", "a@example.com", {}},
                            {"proxyAddresses", "SMTP:a@example.com", {}},
                            {"proxyAddresses", "smtp:b@example.com", {}},
                            {"table", "c@example.com", "550 gone"}};
  const auto hash = hash_of(values);
  const auto by_text = [](const Value& a, const Value& b) { return a.text < b.text; };
  std::sort(values.begin(), values.end(), by_text);
  do {
    CHECK(hash_of(values) == hash);
  } while (std::next_permutation(values.begin(), values.end(), by_text));
}

TEST_CASE("every other difference matters, and none is taken for another") {
  std::vector<ObjectHash> hashes;
  const std::vector<Value> one{{"mail", "a@example.com", {}}};
  const auto add = [&](const Object& object) { hashes.push_back(hasher(object)); };
  add({"k", "cn=a", ObjectClass::user, Drop::kept, one});
  add({"l", "cn=a", ObjectClass::user, Drop::kept, one});
  add({"k", "cn=b", ObjectClass::user, Drop::kept, one});
  add({"k", "cn=a", ObjectClass::group, Drop::kept, one});
  add({"k", "cn=a", ObjectClass::user, Drop::system_object, one});
  add({"kc", "n=a", ObjectClass::user, Drop::kept, one});  // the boundary between two fields
  add({"k", "cn=a", ObjectClass::user, Drop::kept, {}});

  for (const auto& values : std::vector<std::vector<Value>>{
           {{"mail", "b@example.com", {}}},
           {{"maila", "@example.com", {}}},
           {{"mail", "a@example.com", "550"}},
           {{"mail", "a@example.com550", {}}},
           {{"mail", {}, "a@example.com"}},
           // Twice the same value is neither none nor one: an exclusive or would lose both.
           {{"mail", "a@example.com", {}}, {"mail", "a@example.com", {}}},
           {{"mail", "a@example.com", {}},
            {"mail", "a@example.com", {}},
            {"mail", "a@example.com", {}}},
           {{"mail", {}, {}}},
           {{"mail", {}, {}}, {"mail", {}, {}}},
           {{"mail", "a", {}}, {"other", "b", {}}},
           {{"mail", "b", {}}, {"other", "a", {}}}})
    add({"k", "cn=a", ObjectClass::user, Drop::kept, values});

  for (std::size_t i = 0; i < hashes.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      CAPTURE(i, j);
      CHECK_FALSE(hashes[i] == hashes[j]);
    }
}

TEST_CASE("another seed is another hash") {
  const Object object{"k", "cn=a", ObjectClass::user, Drop::kept, {}};
  CHECK_FALSE(ObjectHasher(1)(object) == ObjectHasher(2)(object));
}

TEST_CASE("values of every length are hashed whole") {
  // Around the size of the buffer on the stack, one changed byte at each end and inside counts.
  std::set<std::pair<std::uint64_t, std::uint64_t>> hashes;
  std::size_t count = 0;
  const auto add = [&](const std::string& text) {
    const std::vector<Value> values{{"mail", text, {}}};
    const auto hash = hash_of(values);
    hashes.emplace(hash.low, hash.high);
    ++count;
  };
  for (std::size_t length = 1; length < 1100; ++length) {
    std::string text(length, 'x');
    add(text);
    text.back() = 'y';
    add(text);
    if (length > 1) {
      text.front() = 'y';
      add(text);
    }
  }
  CHECK(hashes.size() == count);
}

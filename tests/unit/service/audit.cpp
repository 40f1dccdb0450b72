#include "service/audit.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;

namespace {

recipient::Object object(std::string_view key, std::span<const recipient::Value> values = {}) {
  return {key, key, recipient::ObjectClass::user, recipient::Drop::kept, values};
}

/// What a full read changes that finds `now` where `known` was.
sync::ObjectChanges found(const sync::KnownObjects& known, std::initializer_list<const char*> now) {
  sync::ReadSession session(known, sync::ObjectHasher(1));
  for (const auto* key : now) session.upsert(object(key));
  return session.finish(true);
}

sync::KnownObjects knowing(std::initializer_list<const char*> keys) {
  sync::KnownObjects known;
  for (const auto* key : keys) known.put(key, {1, 1});  // as it was; now its hash is another
  return known;
}

}  // namespace

TEST_CASE("what increments do not name was missed") {
  const auto known = knowing({"changed", "gone"});
  const auto changes = found(known, {"changed", "new"});
  Audit audit(known, changes);
  CHECK(audit.missed(false) == std::vector<std::string>{"changed", "gone", "new"});
  audit.remove("gone");
  audit.upsert(object("new"));
  audit.upsert(object("of no interest"));
  CHECK(audit.missed(false) == std::vector<std::string>{"changed"});
  audit.upsert(object("changed"));
  CHECK(audit.missed(false).empty());
  audit.restart();
  CHECK(audit.missed(false).size() == 3);
}

TEST_CASE("to be named as unchanged is to be missed") {
  const auto known = knowing({"changed", "gone", "same"});
  const auto changes = found(known, {"changed"});
  Audit audit(known, changes);
  CHECK(audit.present("changed"));
  CHECK(audit.present("same"));
  CHECK_FALSE(audit.present("unheard of"));
  // The increments list what is there: who is not in the list is gone, and they say so.
  CHECK(audit.missed(true) == std::vector<std::string>{"changed", "same"});
}

TEST_CASE("where the account may not see deletions, only they may be missed") {
  const auto known = knowing({"changed", "gone"});
  const auto changes = found(known, {"changed", "new"});
  Audit audit(known, changes);
  CHECK(audit.missed(false, true) == std::vector<std::string>{"changed", "new"});
  audit.upsert(object("changed"));
  audit.upsert(object("new"));
  CHECK(audit.missed(false, true).empty());
  CHECK(audit.missed(false, false) == std::vector<std::string>{"gone"});
}

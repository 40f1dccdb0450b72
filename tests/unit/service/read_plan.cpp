#include "service/read_plan.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace std::chrono_literals;
using source::ReadKind;

namespace {

const WallTime now{1772366400s};

ReadKind plan(Occasion occasion, ReadHistory history) {
  return kind_of_read(occasion, history, 24h, now);
}

}  // namespace

TEST_CASE("a poll goes on from the cookie until a full read is due") {
  CHECK(plan(Occasion::poll, {true, false, now - 1h}) == ReadKind::incremental);
  CHECK(plan(Occasion::poll, {true, false, now}) == ReadKind::incremental);
  CHECK(plan(Occasion::poll, {true, false, now - 24h + 1s}) == ReadKind::incremental);
  CHECK(plan(Occasion::poll, {true, false, now - 24h}) == ReadKind::full);
}

TEST_CASE("what is not known is due: no cookie, no time, a time to come") {
  CHECK(plan(Occasion::poll, {false, false, now - 1h}) == ReadKind::full);
  CHECK(plan(Occasion::poll, {true, false, std::nullopt}) == ReadKind::full);
  CHECK(plan(Occasion::poll, {true, false, now + 1h}) == ReadKind::full);
}

TEST_CASE("a poll confirms removals by a full read") {
  CHECK(plan(Occasion::poll, {true, true, now - 1h}) == ReadKind::full);
}

TEST_CASE("after a failed read a poll reads in full") {
  CHECK(plan(Occasion::poll, {true, false, now - 1h, true}) == ReadKind::full);
  CHECK(plan(Occasion::ring, {true, false, now - 1h, true}) == ReadKind::incremental);
}

TEST_CASE("a resync is full") {
  CHECK(plan(Occasion::resync, {true, false, now}) == ReadKind::full);
}

TEST_CASE("a ring is incremental if it can be") {
  CHECK(plan(Occasion::ring, {true, true, std::nullopt}) == ReadKind::incremental);
  CHECK(plan(Occasion::ring, {false, false, now}) == ReadKind::full);
}

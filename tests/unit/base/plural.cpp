#include "base/plural.hpp"

#include "catch.hpp"

using namespace rcptsync;

TEST_CASE("one thing is not several, and none are") {
  CHECK(counted(0, "source") == "0 sources");
  CHECK(counted(1, "source") == "1 source");
  CHECK(counted(2, "source") == "2 sources");
  CHECK(counted(0, "entry", "entries") == "0 entries");
  CHECK(counted(1, "entry", "entries") == "1 entry");
  CHECK(counted(21, "entry", "entries") == "21 entries");
  CHECK(plural(1, "is", "are") == "is");
  CHECK(plural(0, "is", "are") == "are");
}

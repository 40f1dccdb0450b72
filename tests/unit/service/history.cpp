#include "service/history.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "lines.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;

namespace {

std::vector<store::Generation> history(World& world, std::size_t limit) {
  std::vector<store::Generation> generations;
  const auto read = world.store().read([&](store::View& view) -> Result<> {
    generations = *gather_history(view, limit);
    return {};
  });
  REQUIRE(read);
  return generations;
}

std::string text(const std::vector<store::Generation>& generations) {
  std::ostringstream out;
  print_history_text(out, generations, {});
  return out.str();
}

}  // namespace

TEST_CASE("the history names each generation with its digest, newest first") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.sources["corp"].objects["2"] = {"SMTP:bob@example.com", "smtp:bobby@example.com"};
  world.cycle();
  const auto first = sha256(world.table());
  world.sources["corp"].objects["1"] = {"SMTP:cyd@example.com"};
  world.cycle();

  const auto all = history(world, 0);
  REQUIRE(all.size() == 2);
  CHECK(all[0].digest == sha256(world.table()));
  CHECK(all[1].digest == first);
  CHECK(history(world, 1).size() == 1);
  CHECK(text(all) ==
        "GEN TIME (UTC)       ADDED REMOVED CHANGED TOTAL DIGEST       CAUSE\n"
        "  2 2026-03-01 12:10     1       1       0     3 " +
            all[0].digest.brief() +
            " schedule\n"
            "  1 2026-03-01 12:05     3       0       0     3 " +
            first.brief() + " schedule\n");

  std::ostringstream out;
  print_history_json(out, all);
  const auto document = nlohmann::json::parse(out.str());
  CHECK(document["generations"][1] == nlohmann::json{{"generation", 1},
                                                     {"time", "2026-03-01T12:05:00Z"},
                                                     {"added", 3},
                                                     {"removed", 0},
                                                     {"changed", 0},
                                                     {"total", 3},
                                                     {"digest", first.hex()},
                                                     {"cause", "schedule"}});
}

TEST_CASE("a long history of a large company fits a terminal") {
  store::Generation generation;
  generation.number = 123456;
  generation.cause = store::Cause::configuration;
  generation.added = generation.removed = generation.changed = generation.total = 1234567;
  generation.digest = sha256("x");
  check_fits(text({generation}));
}

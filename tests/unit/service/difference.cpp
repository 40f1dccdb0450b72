#include "service/difference.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "lines.hpp"
#include "service/find_difference.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;
using nlohmann::json;
using What = Difference::What;

namespace {

Result<Difference> find(World& world, const DifferenceQuery& query = {}) {
  Result<Difference> difference = Error{};
  const auto read = world.store().read([&](store::View& view) -> Result<> {
    difference = find_difference(view, query);
    return {};
  });
  REQUIRE(read);
  return difference;
}

Difference found(World& world, const DifferenceQuery& query = {}) {
  auto difference = find(world, query);
  REQUIRE(difference);
  return *difference;
}

std::string text(const Difference& difference, bool verbose = false) {
  std::ostringstream out;
  print_difference_text(out, difference, {}, verbose);
  check_fits(out.str());
  return out.str();
}

/// `+ann@example.com`, …
std::vector<std::string> entries(const Difference& difference) {
  std::vector<std::string> list;
  for (const auto& [change, by_configuration] : difference.entries)
    list.push_back(std::string(1, "?+-~"[static_cast<int>(change.operation)]) + change.address);
  return list;
}

void hire(World& world, int count, const std::string& domain, const std::string& source = "corp") {
  for (int i = 0; i < count; ++i) {
    const auto name = fmt::format("p{:02}@{}", i, domain);
    world.sources[source].objects[name] = {"SMTP:" + name};
  }
}

void write(World& world, const std::function<Result<>(store::Transaction&)>& change) {
  const auto wrote = world.store().write([&](store::Transaction& transaction) -> Result<bool> {
    if (auto done = change(transaction); !done) return done.error();
    return true;
  });
  REQUIRE(wrote);
}

}  // namespace

TEST_CASE("what is held is read at a glance, what loses most first") {
  World world;
  hire(world, 30, "example.com");
  hire(world, 30, "example.net");
  world.sources["unix"].objects["1"] = {"root@example.org"};
  world.cycle();
  for (int i = 0; i < 3; ++i)
    world.sources["corp"].objects.erase(fmt::format("p{:02}@example.com", i));
  for (int i = 0; i < 12; ++i)
    world.sources["corp"].objects.erase(fmt::format("p{:02}@example.net", i));
  const auto report = world.cycle();
  REQUIRE(report.hold);
  REQUIRE(report.hold->removed == 15);

  const auto difference = found(world);
  CHECK(difference.what == What::held);
  const auto shown = text(difference);
  const auto from = shown.find("0 added");
  CHECK(shown.substr(0, shown.find('\n')) == "held since 2026-03-01T12:10:00Z: 15 removals");
  CHECK(shown.find("\ndigest " + report.hold->digest.hex() + "\n") != std::string::npos);
  REQUIRE(from != std::string::npos);
  CHECK(shown.substr(from, shown.find("- p00") - from) ==
        "0 added, 15 removed, 0 changed\n"
        "\n"
        "DOMAIN       REMOVED  CHANGED  ADDED  IN FORCE\n"
        "example.net       12        0      0        30\n"
        "example.com        3        0      0        30\n"
        "\n"
        "SOURCE       REMOVED  CHANGED  ADDED  IN FORCE\n"
        "corp              15        0      0        60\n"
        "\n"
        "CLASS        REMOVED  CHANGED  ADDED  IN FORCE\n"
        "user              15        0      0        61\n"
        "\n");
  CHECK(shown.find("\n- p00@example.com\n") != std::string::npos);

  const auto document = difference_json(difference);
  CHECK(document["what"] == "held");
  CHECK(document["digest"] == report.hold->digest.hex());
  CHECK(document["removed"].size() == 15);
  CHECK(document["removed"][0] == json{{"address", "p00@example.com"},
                                       {"reject", nullptr},
                                       {"before", nullptr},
                                       {"source", "corp"},
                                       {"class", "user"},
                                       {"by_configuration", false}});
  CHECK(document["totals"]["domains"][0] == json{{"name", "example.net"},
                                                 {"added", 0},
                                                 {"removed", 12},
                                                 {"changed", 0},
                                                 {"in_force", 30}});
  for (const auto* key : {"title", "from", "to", "reasons", "added", "changed"})
    CHECK(document.contains(key));
  CHECK(document["totals"].contains("by_configuration"));
}

TEST_CASE("removals by the configuration are told from those of the directory") {
  World world;
  world.config.recipients.domains = {"example.com", "example.net"};
  hire(world, 30, "example.com");
  hire(world, 30, "example.net");
  world.cycle();
  world.config.recipients.domains = {"example.com"};
  world.sources["corp"].objects.erase("p00@example.com");
  REQUIRE(world.cycle().hold);
  const auto difference = found(world);
  CHECK(totals_of(difference).by_configuration == 30);
  CHECK(text(difference).find("0 added, 31 removed, 0 changed; 30 by the configuration\n") !=
        std::string::npos);
  CHECK(text(difference, true).find("\n- p00@example.com\n") != std::string::npos);
  CHECK(text(difference, true).find("- p00@example.net (by the configuration)\n") !=
        std::string::npos);
}

TEST_CASE("any two generations are compared, in either order") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.cycle();
  world.sources["corp"].objects["2"] = {"SMTP:bob@example.com"};
  world.cycle();
  world.sources["corp"].objects["1"] = {"SMTP:cyd@example.com"};
  world.cycle();
  using List = std::vector<std::string>;
  CHECK(entries(found(world)) == List{"-ann@example.com", "+cyd@example.com"});
  CHECK(entries(found(world, {2, {}, {}})) == List{"+bob@example.com"});
  CHECK(entries(found(world, {1, 3, {}})) ==
        List{"-ann@example.com", "+bob@example.com", "+cyd@example.com"});
  CHECK(entries(found(world, {3, 1, {}})) ==
        List{"+ann@example.com", "-bob@example.com", "-cyd@example.com"});
  CHECK(text(found(world, {1, 3, {}})).starts_with("generation 1 to 3\n2 added, 1 removed"));
  const auto missing = find(world, {1, 9, {}});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("generation 9 is not kept") == 0);
  CHECK(find(world, {7, {}, {}}).error().code == Errc::not_found);
}

TEST_CASE("long lists end with what is left out, unless all is asked for") {
  World world;
  for (int i = 0; i < 20; ++i) hire(world, 4, fmt::format("d{:02}.example.com", i));
  world.cycle();
  const auto difference = found(world);
  const auto brief = text(difference);
  CHECK(brief.find("and 5 more; --verbose lists all\n") != std::string::npos);
  CHECK(brief.find("\n+ and 30 more; --verbose lists all\n") != std::string::npos);
  CHECK(std::count(brief.begin(), brief.end(), '@') == 50);
  const auto all = text(difference, true);
  CHECK(all.find("more") == std::string::npos);
  CHECK(std::count(all.begin(), all.end(), '@') == 80);
}

TEST_CASE("under a pin, what is pending; of a target, what its first table would take") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.cycle();
  write(world, [&](store::Transaction& transaction) -> Result<> {
    auto meta = transaction.meta();
    meta->pinned = 1;
    if (auto put = transaction.put_meta(*meta); !put) return put;
    store::Change change;
    change.operation = store::Operation::removed;
    change.address = "ann@example.com";
    if (auto put = transaction.put_pending(change); !put) return put;
    store::TargetRecord target;
    target.name = "mx1";
    target.hold = store::Hold{sha256("x"), world.now, 0, 2, "min_recipients; canaries", 0};
    if (auto put = transaction.put_target(target); !put) return put;
    const std::vector<std::string> losses{"old1@example.com", "old2@example.com"};
    return transaction.put_losses("mx1", losses);
  });
  auto difference = found(world);
  CHECK(difference.what == What::pending);
  CHECK(entries(difference) == std::vector<std::string>{"-ann@example.com"});
  CHECK(text(difference).find("rcptsyncctl resync") != std::string::npos);

  difference = found(world, {{}, {}, "mx1"});
  CHECK(difference.what == What::first_table);
  CHECK(difference.digest == sha256("x"));
  CHECK(entries(difference) == std::vector<std::string>{"-old1@example.com", "-old2@example.com"});
  const auto shown = text(difference);
  CHECK(shown.find("SOURCE") == std::string::npos);
  CHECK(shown.find("  min_recipients\n  canaries\n") != std::string::npos);
  CHECK(difference_json(difference)["removed"][0]["source"] == nullptr);
  CHECK(find(world, {{}, {}, "mx2"}).error().code == Errc::not_found);
}

TEST_CASE("before the first table, what would be in it") {
  World world;
  world.config.guard.canaries = {"boss@example.com"};
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  REQUIRE(world.cycle().hold);
  const auto difference = found(world);
  CHECK(difference.what == What::held);
  CHECK(entries(difference) == std::vector<std::string>{"+ann@example.com"});
  CHECK(text(difference).find("the first table") != std::string::npos);
}

TEST_CASE("what is lost is red on a terminal") {
  Difference difference;
  store::Change change;
  change.operation = store::Operation::removed;
  change.address = "ann@example.com";
  difference.entries.push_back({change, false});
  std::ostringstream out;
  print_entries(out, difference, {80, true}, false);
  CHECK(out.str() == "\x1b[31m- ann@example.com\x1b[0m\n");
}

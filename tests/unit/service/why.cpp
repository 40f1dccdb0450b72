#include "service/why.hpp"

#include <sstream>

#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;
using Verdict = WhyReport::Verdict;
using Holds = WhyReport::Target::Holds;

namespace {

WhyReport why(World& world, const std::string& address) {
  WhyReport report;
  const auto read = world.store().read([&](store::View& view) -> Result<> {
    auto gathered = gather_why(view, world.config, address);
    if (!gathered) return gathered.error();
    report = std::move(*gathered);
    return {};
  });
  REQUIRE(read);
  return report;
}

std::string text(const WhyReport& report) {
  std::ostringstream out;
  print_why_text(out, report);
  return out.str();
}

}  // namespace

TEST_CASE("an address that two sources supply names both, and stays with one") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:Ann@Example.com", "smtp:a.nn@example.com"};
  world.sources["unix"].objects["9"] = {"ann@example.com"};
  world.cycle();
  auto report = why(world, "smtp:ANN@example.com");
  CHECK(report.verdict == Verdict::listed);
  CHECK(report.address == "ann@example.com");
  REQUIRE(report.owners.size() == 2);
  CHECK(report.owners[0].source == "corp");
  CHECK(report.owners[0].text == "SMTP:Ann@Example.com");
  CHECK(report.owners[1].source == "unix");
  CHECK(report.since->generation == 1);

  world.sources["corp"].objects["1"] = {"SMTP:a.nn@example.com"};
  world.cycle();
  report = why(world, "ann@example.com");
  CHECK(report.verdict == Verdict::listed);
  REQUIRE(report.owners.size() == 1);
  CHECK(report.owners[0].source == "unix");
}

TEST_CASE("an address that left says when") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.sources["corp"].objects["2"] = {"SMTP:bob@example.com"};
  world.cycle();
  world.sources["corp"].objects.erase("1");
  world.cycle();
  const auto report = why(world, "ann@example.com");
  CHECK(report.verdict == Verdict::not_listed);
  REQUIRE(report.vanished);
  CHECK(report.vanished->generation == 2);
  CHECK(report.vanished->time == world.now);
  CHECK(text(report).find("no source named it") != std::string::npos);
}

TEST_CASE("an address that a rule dropped names the rule and the object") {
  World world;
  world.config.recipients.domains = {"example.com"};
  world.config.recipients.exclude = {
      {config::Exclusion::Kind::address, "boss@example.com", "rcptsync.yaml", 17}};
  world.sources["corp"].objects["1"] = {"SMTP:boss@example.com", "smtp:boss@other.test",
                                        "smtp:not an address"};
  world.sources["corp"].objects["2"] = {"SMTP:ann@example.com"};
  world.cycle();

  auto report = why(world, "boss@example.com");
  CHECK(report.verdict == Verdict::not_listed);
  CHECK(report.rule == recipient::Drop::excluded);
  CHECK(report.rule_line == 17);
  REQUIRE(report.dropped.size() == 1);
  CHECK(report.dropped[0].line == 17);
  CHECK_FALSE(report.vanished);

  report = why(world, "boss@other.test");
  CHECK(report.rule == recipient::Drop::other_domain);
  CHECK(report.dropped.size() == 1);

  report = why(world, "not an address");
  CHECK(report.verdict == Verdict::no_address);
  CHECK(report.dropped.size() == 1);
  CHECK(text(report).find("is no address") != std::string::npos);
}

TEST_CASE("a static word, a wildcard and an extension decide as Postfix would look them up") {
  World world;
  world.config.recipients.entries = {entry("@partner.example"),
                                     entry("gone@example.com", "550 5.1.1 gone")};
  world.sources["corp"].objects["1"] = {"SMTP:gone@example.com", "smtp:ann@example.com"};
  world.cycle();

  auto report = why(world, "gone@example.com");
  CHECK(report.verdict == Verdict::rejected);
  CHECK(report.reject == "550 5.1.1 gone");
  CHECK(report.owners.size() == 2);

  report = why(world, "anybody@partner.example");
  CHECK(report.verdict == Verdict::listed);
  CHECK(report.entry == "@partner.example");
  REQUIRE(report.owners.size() == 1);
  CHECK(report.owners[0].source.empty());

  report = why(world, "ann+lists@example.com");
  CHECK(report.verdict == Verdict::listed);
  CHECK(report.entry == "ann@example.com");
}

TEST_CASE("a target is asked for by the generation that it was seen to hold") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.cycle();
  for (const auto* name : {"old", "new", "elsewhere"}) {
    config::Target target;
    target.name = name;
    if (target.name == "elsewhere") target.domains = {"example.net"};
    world.config.targets.push_back(target);
  }
  const auto wrote = world.store().write([](store::Transaction& transaction) -> Result<bool> {
    store::TargetRecord record;
    record.name = "new";
    record.generation = 1;
    if (auto put = transaction.put_target(record); !put) return put.error();
    return true;
  });
  REQUIRE(wrote);
  const auto report = why(world, "ann@example.com");
  REQUIRE(report.targets.size() == 3);
  CHECK(report.targets[0].holds == Holds::unknown);
  CHECK(report.targets[1].holds == Holds::yes);
  CHECK(report.targets[2].holds == Holds::not_for_it);
  CHECK(text(report).find("new: accepts it (generation 1)") != std::string::npos);
}

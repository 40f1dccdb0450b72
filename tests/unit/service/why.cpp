#include "service/why.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "lines.hpp"
#include "service/location.hpp"
#include "service/near_misses.hpp"
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

std::string text(const WhyReport& report, const config::Config& config = {}) {
  std::ostringstream out;
  print_why_text(out, report, {}, config);
  check_fits(out.str());
  return out.str();
}

/// The text in one line.
std::string words(const WhyReport& report, const config::Config& config = {}) {
  std::istringstream in(text(report, config));
  std::string line, word;
  while (in >> word) line += (line.empty() ? "" : " ") + word;
  return line;
}

void write(World& world, const std::function<Result<>(store::Transaction&)>& change) {
  const auto wrote = world.store().write([&](store::Transaction& transaction) -> Result<bool> {
    if (auto done = change(transaction); !done) return done.error();
    return true;
  });
  REQUIRE(wrote);
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
  CHECK(report.rule_place.line == 17);
  REQUIRE(report.dropped.size() == 1);
  CHECK(report.dropped[0].rule.line == 17);
  CHECK(report.dropped[0].rule.text == "boss@example.com");
  CHECK_FALSE(report.vanished);

  report = why(world, "boss@other.test");
  CHECK(report.rule == recipient::Drop::other_domain);
  CHECK(report.dropped.size() == 1);

  report = why(world, "not an address");
  CHECK(report.verdict == Verdict::no_address);
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
  const auto wrote = world.store().write([&](store::Transaction& transaction) -> Result<bool> {
    store::TargetRecord record;
    record.name = "new";
    record.location = location_of(world.config.targets[1]);
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

  // What was known is not about the machine that has the name now.
  world.config.targets[1].host = "mx9.example.com";
  const auto moved = why(world, "ann@example.com");
  CHECK(moved.targets[1].holds == Holds::unknown);
  CHECK(moved.targets[1].generation == 0);
  CHECK_FALSE(moved.targets[1].seen);
}

TEST_CASE("what a target's format cannot carry is not said to be accepted there") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:#ann@example.com", "smtp:ann@example.com"};
  world.cycle();
  for (const auto format : {config::Format::postfix, config::Format::list}) {
    config::Target target;
    target.name = config::to_string(format);
    target.format = format;
    world.config.targets.push_back(target);
    write(world, [&](store::Transaction& transaction) -> Result<> {
      store::TargetRecord record;
      record.name = target.name;
      record.location = location_of(target);
      record.generation = 1;
      return transaction.put_target(record);
    });
  }
  const auto report = why(world, "#ann@example.com");
  CHECK(report.verdict == Verdict::listed);
  CHECK(report.targets[0].holds == Holds::not_carried);
  CHECK(report.targets[1].holds == Holds::yes);
  CHECK(words(report).find("postfix: does not accept it, its table's format cannot carry it "
                           "(generation 1)") != std::string::npos);
  std::ostringstream out;
  print_why_json(out, report);
  CHECK(nlohmann::json::parse(out.str())["targets"][0]["holds"] == "not-carried");
  for (const auto& target : why(world, "ann@example.com").targets)
    CHECK(target.holds == Holds::yes);

  // Postfix goes on to the row of the domain.
  write(world, [](store::Transaction& transaction) -> Result<> {
    store::RecipientRecord row;
    row.since = 1;
    return transaction.put_recipient("@example.com", row);
  });
  CHECK(why(world, "#ann@example.com").targets[0].holds == Holds::yes);
}

TEST_CASE("what is said of a listed address is all there is to know") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:Ann@Example.com", "smtp:a.nn@example.com"};
  world.cycle();
  CHECK(text(why(world, "ann@example.com")) ==
        "ann@example.com is listed\n"
        "since generation 1 of 2026-03-01T12:05:00Z\n"
        "\n"
        "owned by\n"
        "  corp: cn=1 (user)\n"
        "    proxyAddresses: SMTP:Ann@Example.com\n");
  CHECK(text(why(world, "SMTP:ANN@example.COM")).find("asked for as ANN@example.COM\n") !=
        std::string::npos);
}

TEST_CASE("an exclusion is named as it is written, in the file where it stands") {
  World world;
  world.config.file = "/etc/rcptsync/rcptsync.yaml";
  world.config.recipients.exclude = {
      {config::Exclusion::Kind::domain, "example.org", "/etc/rcptsync/rcptsync.yaml", 3},
      {config::Exclusion::Kind::regex, "^test-", "/etc/rcptsync/exclude.txt", 3}};
  world.sources["corp"].objects["1"] = {"SMTP:test-1@example.com", "smtp:ann@example.com"};
  world.cycle();
  const auto report = why(world, "test-1@example.com");
  CHECK(report.rule_place.text == "/^test-/");
  CHECK(report.rule_place.file == "/etc/rcptsync/exclude.txt");
  CHECK(text(report, world.config) ==
        "test-1@example.com is not listed\n"
        "\n"
        "no such address can be listed: excluded by recipients.exclude: /^test-/\n"
        "(exclude.txt, line 3)\n"
        "\n"
        "left out\n"
        "  corp: cn=1 (user)\n"
        "    proxyAddresses: SMTP:test-1@example.com\n"
        "    left out: excluded by recipients.exclude: /^test-/ (exclude.txt, line 3)\n");
}

TEST_CASE("what keeps an address that nobody supplies has a name") {
  World world;
  world.config.removal.grace = std::chrono::hours(2);
  world.config.removal.answer = config::Removal::Answer::keep;
  for (int i = 0; i < 30; ++i)
    world.sources["corp"].objects[std::to_string(i)] = {fmt::format("SMTP:p{}@example.com", i)};
  world.cycle();
  const auto digest = sha256("set");
  write(world, [&](store::Transaction& transaction) -> Result<> {
    if (auto put = transaction.put_refused("p1@example.com", digest); !put) return put;
    if (auto put = transaction.put_refusal({digest, world.now, "alice", 1}); !put) return put;
    if (auto put = transaction.put_grace("p2@example.com", world.now); !put) return put;
    if (auto put = transaction.put_held("p3@example.com", {"", true}); !put) return put;
    return transaction.put_hold(store::Hold{digest, world.now, 0, 1, "guard.max_removals", 1});
  });
  CHECK(words(why(world, "p1@example.com"))
            .find("it stays only because alice rejected its removal since") != std::string::npos);
  CHECK(words(why(world, "p2@example.com"), world.config)
            .find("still accepted until 2026-03-01T14:05:00Z (removal.grace)") !=
        std::string::npos);
  const auto held = why(world, "p3@example.com");
  CHECK(held.held());
  CHECK(words(held).find("(by a change of the configuration)") != std::string::npos);
  CHECK(words(held).find("rcptsyncctl approve " + digest.brief()) != std::string::npos);
  CHECK(why(world, "p4@example.com").stays.empty());
}

TEST_CASE("under a pin and before the first table an address waits") {
  World world;
  world.config.guard.canaries = {"boss@example.com"};
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  REQUIRE(world.cycle().hold);
  auto report = why(world, "ann@example.com");
  CHECK(report.verdict == Verdict::not_listed);
  REQUIRE(report.stays.size() == 1);
  CHECK(report.stays[0].why == WhyReport::Stay::Why::first_table);
  CHECK(report.owners.size() == 1);

  world.config.guard.canaries.clear();
  world.cycle();
  write(world, [&](store::Transaction& transaction) -> Result<> {
    auto meta = transaction.meta();
    meta->pinned = 1;
    if (auto put = transaction.put_meta(*meta); !put) return put;
    store::Change change;
    change.operation = store::Operation::removed;
    change.address = "ann@example.com";
    return transaction.put_pending(change);
  });
  report = why(world, "ann@example.com");
  REQUIRE(report.stays.size() == 1);
  CHECK(report.stays[0].why == WhyReport::Stay::Why::pinned);
  CHECK(report.stays[0].generation == 1);
}

TEST_CASE("a target that is behind is answered for by its own generation") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.sources["corp"].objects["2"] = {"SMTP:bob@example.com"};
  world.cycle();
  world.sources["corp"].objects.erase("1");
  world.cycle();
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.cycle();
  for (std::uint64_t generation = 1; generation <= 3; ++generation) {
    config::Target target;
    target.name = fmt::format("mx{}", generation);
    world.config.targets.push_back(target);
    write(world, [&](store::Transaction& transaction) -> Result<> {
      store::TargetRecord record;
      record.name = target.name;
      record.location = location_of(target);
      record.generation = generation;
      return transaction.put_target(record);
    });
  }
  auto report = why(world, "ann@example.com");
  CHECK(report.targets[0].holds == Holds::yes);
  CHECK(report.targets[1].holds == Holds::no);
  CHECK(report.targets[2].holds == Holds::yes);
  report = why(world, "bob@example.com");
  for (const auto& target : report.targets) CHECK(target.holds == Holds::yes);
  report = why(world, "nobody@example.com");
  for (const auto& target : report.targets) CHECK(target.holds == Holds::no);
}

TEST_CASE("an unlisted address is shown what may have been meant") {
  World world;
  world.config.recipients.domains = {"example.com", "example.net"};
  world.sources["corp"].objects["1"] = {"SMTP:maria.lopez@example.com",
                                        "smtp:maria.lopez@example.net"};
  world.sources["corp"].objects["2"] = {"SMTP:m\xc3\xbcller@example.com"};
  world.cycle();
  const auto first = [&](const std::string& address) {
    const auto report = why(world, address);
    return report.near_misses.empty() ? std::string() : report.near_misses[0].address;
  };
  for (const auto* typed : {"maria.lopze@example.com", "maria.lope@example.com",
                            "maria.loppez@example.com", "maria.lopes@example.com"}) {
    INFO(typed);
    CHECK(first(typed) == "maria.lopez@example.com");
  }
  CHECK(first("maria.lopez@exmple.com") == "maria.lopez@example.com");
  CHECK(first("m\xc3\xbcler@example.com") == "m\xc3\xbcller@example.com");
  CHECK(first("maria.lpoze@example.com").empty());
  const auto report = why(world, "maria.lopez@example.org");
  CHECK(report.near_misses.size() == 2);
  CHECK(text(report).find("maria.lopez@example.net (another domain)\n") != std::string::npos);
}

TEST_CASE("one edit apart") {
  CHECK(one_edit_apart("example.com", "exmaple.com"));
  CHECK(one_edit_apart("example.com", "example.co"));
  CHECK(one_edit_apart("example.com", "xexample.com"));
  CHECK(one_edit_apart("example.com", "examplf.com"));
  CHECK_FALSE(one_edit_apart("example.com", "example.com"));
  CHECK_FALSE(one_edit_apart("example.com", "exmapel.com"));
  CHECK_FALSE(one_edit_apart("ab", "ba1"));
  CHECK(one_edit_apart("", "a"));
}

TEST_CASE("the JSON of why has every key that is documented") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com"};
  world.cycle();
  std::ostringstream out;
  print_why_json(out, why(world, "ann@example.com"));
  const auto document = nlohmann::json::parse(out.str());
  for (const auto* key :
       {"asked",     "address", "verdict",  "entry",       "match", "reject",    "held",
        "stays",     "since",   "vanished", "syntax",      "rule",  "rule_text", "rule_file",
        "rule_line", "owners",  "dropped",  "near_misses", "live",  "targets"}) {
    INFO(key);
    CHECK(document.contains(key));
  }
  for (const auto* key : {"source", "origin", "class", "attribute", "value", "reject", "dropped",
                          "rule", "file", "line"}) {
    INFO(key);
    CHECK(document["owners"][0].contains(key));
  }
}

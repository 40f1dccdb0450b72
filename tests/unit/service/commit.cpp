#include "service/commit.hpp"

#include <sys/stat.h>

#include "base/file.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;

namespace {

/// Mailboxes u1 … un in example.com, each with its own object.
void add_users(FakeSource& source, int count, const std::string& domain = "example.com") {
  for (int i = 1; i <= count; ++i) {
    const auto name = "u" + std::to_string(i);
    source.objects[name + domain] = {"SMTP:" + name + "@" + domain};
  }
}

void remove_users(FakeSource& source, int first, int last,
                  const std::string& domain = "example.com") {
  for (int i = first; i <= last; ++i) source.objects.erase("u" + std::to_string(i) + domain);
}

}  // namespace

TEST_CASE("the first complete read of all sources makes the first table") {
  World world;
  world.sources["corp"].objects["1"] = {"SMTP:Ceo@Example.COM", "smtp:chief@example.com"};
  const auto report = world.cycle();
  REQUIRE(report.generation);
  CHECK(report.generation->number == 1);
  CHECK(report.generation->added == 2);
  CHECK(report.accepted == 2);
  CHECK(world.table() == "ceo@example.com\tOK\nchief@example.com\tOK\n");
  CHECK(report.generation->digest == sha256(world.table()));
}

TEST_CASE("an unchanged cycle writes nothing at all") {
  World world;
  add_users(world.sources["corp"], 50);
  world.config.recipients.entries = {entry("@partner.example"),
                                     entry("gone@example.com", "550 5.1.1 gone")};
  world.cycle();
  const auto file = world.folder() / "data.mdb";
  const auto before = read_file(file, 1 << 28).value();
  struct stat first {
  }, second{};
  REQUIRE(::stat(file.c_str(), &first) == 0);
  const auto report = world.cycle();
  CHECK_FALSE(report.generation);
  CHECK_FALSE(report.hold);
  REQUIRE(::stat(file.c_str(), &second) == 0);
  CHECK(first.st_mtim.tv_sec == second.st_mtim.tv_sec);
  CHECK(first.st_mtim.tv_nsec == second.st_mtim.tv_nsec);
  CHECK(read_file(file, 1 << 28).value() == before);
}

TEST_CASE("a digest that a crash kept from being noted is noted by the next cycle") {
  World world;
  add_users(world.sources["corp"], 3);
  const auto first = world.cycle();
  REQUIRE(first.generation);
  // As after a kill between the commit and the digest.
  REQUIRE(note_digest(world.store(), 1, Digest{}));
  const auto stored = [&](std::uint64_t number) {
    Digest digest, answered;
    REQUIRE(world.store().read([&](store::View& view) -> Result<> {
      const auto generation = view.generation(number);
      digest = (*generation)->digest;
      answered = digest_of(view, **generation).value();
      return {};
    }));
    CHECK(answered == first.generation->digest);
    return digest;
  };
  CHECK(stored(1) == Digest{});
  SECTION("nothing else changes") {
    CHECK_FALSE(world.cycle().generation);
  }
  SECTION("the next generation is another table") {
    add_users(world.sources["corp"], 5);
    const auto second = world.cycle();
    REQUIRE(second.generation);
    CHECK(second.generation->digest != first.generation->digest);
    CHECK(second.generation->digest == sha256(world.table()));
  }
  CHECK(stored(1) == first.generation->digest);
}

TEST_CASE("no first table until every source has been read completely once") {
  World world;
  add_users(world.sources["corp"], 3);
  add_users(world.sources["other"], 2, "example.net");
  world.sources["other"].up = false;
  auto report = world.cycle();
  CHECK_FALSE(report.generation);
  REQUIRE(report.hold);
  CHECK(report.hold_is_new);
  CHECK(report.hold->reason.find("other") != std::string::npos);
  CHECK(world.table().empty());

  report = world.cycle();  // still down: the same hold, said once
  CHECK_FALSE(report.hold_is_new);
  world.reopen();
  world.sources["other"].up = true;
  report = world.cycle();
  REQUIRE(report.generation);
  CHECK(report.generation->added == 5);
  CHECK_FALSE(report.hold);
  CHECK(report.hold_ended);
  CHECK(world.accepted().size() == 5);
}

TEST_CASE("always and static are in the first table, however late the sources answer") {
  World world;
  world.config.recipients.entries = {entry("postmaster@example.com"), entry("@partner.example")};
  world.sources["corp"].up = GENERATE(true, false);  // answers with nothing, or not at all
  CHECK_FALSE(world.cycle().generation);
  world.reopen();
  world.sources["corp"].up = true;
  world.sources["corp"].objects["a"] = {"SMTP:a@example.com"};
  CHECK(world.cycle().generation->added == 3);
  CHECK(world.accepted() ==
        std::set<std::string>{"@partner.example", "a@example.com", "postmaster@example.com"});
}

TEST_CASE("a canary that never was cannot be lost") {
  World world;
  add_users(world.sources["corp"], 30);
  world.cycle();
  world.config.guard.canaries = {"ceo@exmaple.com"};
  world.sources["corp"].objects.erase("u7example.com");
  CHECK(world.cycle().generation->removed == 1);
}

TEST_CASE("the generation in force is kept whatever the history is") {
  World world;
  world.config.history.keep = 0;
  add_users(world.sources["corp"], 3);
  world.cycle();
  add_users(world.sources["corp"], 4);
  world.cycle();
  std::vector<store::Generation> kept;
  REQUIRE(world.store().read([&](store::View& view) -> Result<> {
    kept = view.generations(10).value();
    return {};
  }));
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].number == 2);
}

TEST_CASE("the first table waits for its canaries and for min_recipients") {
  World world;
  world.config.guard.canaries = {"CEO@example.com"};
  add_users(world.sources["corp"], 3);
  CHECK_FALSE(world.cycle().generation);
  world.sources["corp"].objects["ceo"] = {"SMTP:ceo@example.com"};
  world.config.guard.min_recipients = 10;
  CHECK_FALSE(world.cycle().generation);
  world.config.guard.min_recipients = 4;
  CHECK(world.cycle().generation);
}

TEST_CASE("an address goes with its last owner") {
  World world;
  world.sources["corp"].objects["a"] = {"SMTP:info@example.com"};
  world.sources["corp"].objects["b"] = {"smtp:info@example.com", "smtp:b@example.com"};
  world.cycle();
  world.sources["corp"].objects.erase("a");
  CHECK_FALSE(world.cycle().generation);
  CHECK(world.accepted().contains("info@example.com"));
  world.sources["corp"].objects["b"] = {"smtp:b@example.com"};
  CHECK(world.cycle().generation->removed == 1);
  CHECK_FALSE(world.accepted().contains("info@example.com"));
}

TEST_CASE(
    "a failed source keeps its recipients, and while it is away nothing is removed anywhere") {
  World world;
  add_users(world.sources["corp"], 5);
  add_users(world.sources["other"], 5, "example.net");
  world.cycle();
  world.sources["other"].up = false;
  world.sources["corp"].objects.erase("u1example.com");
  world.sources["corp"].objects["new"] = {"SMTP:new@example.com"};
  auto report = world.cycle();
  REQUIRE(report.generation);  // additions flow
  CHECK(report.generation->added == 1);
  CHECK(report.generation->removed == 0);
  REQUIRE(report.hold);
  CHECK(report.hold->removed == 1);
  CHECK(world.accepted().contains("u1@example.com"));
  CHECK(world.accepted().contains("u3@example.net"));
  CHECK(report.held == std::vector<std::string>{"u1@example.com"});

  world.sources["other"].up = true;
  report = world.cycle();
  REQUIRE(report.generation);
  CHECK(report.generation->removed == 1);
  CHECK(report.hold_ended);
  CHECK_FALSE(world.accepted().contains("u1@example.com"));
}

TEST_CASE("too many removals are held, once, and additions flow meanwhile") {
  World world;
  add_users(world.sources["corp"], 400);
  world.cycle();
  remove_users(world.sources["corp"], 1, 100);  // 25 %
  auto report = world.cycle();
  CHECK_FALSE(report.generation);
  REQUIRE(report.hold);
  CHECK(report.hold->removed == 100);
  CHECK(report.hold_is_new);
  const auto since = report.hold->since;
  CHECK(world.accepted().size() == 400);

  world.reopen();
  world.sources["corp"].objects["new"] = {"SMTP:new@example.com"};
  report = world.cycle();
  CHECK_FALSE(report.hold_is_new);
  CHECK(report.hold->since == since);
  CHECK(report.generation->added == 1);
  CHECK(world.accepted().size() == 401);

  SECTION("a return of most of them lets the rest go") {
    add_users(world.sources["corp"], 95);
    report = world.cycle();
    CHECK(report.generation->removed == 5);
    CHECK(report.hold_ended);
    CHECK(world.accepted().size() == 396);
  }
  SECTION("another set of removals is another hold") {
    remove_users(world.sources["corp"], 101, 110);
    report = world.cycle();
    CHECK(report.hold_is_new);
    CHECK(report.hold->removed == 110);
    CHECK(world.accepted().size() == 401);
  }
}

TEST_CASE("removals after a change of server wait for a second read of it") {
  World world;
  add_users(world.sources["corp"], 30);
  world.cycle();
  world.sources["corp"].server = "dc2";
  world.sources["corp"].objects.erase("u7example.com");

  auto report = world.cycle();
  REQUIRE(report.hold);
  CHECK(world.accepted().contains("u7@example.com"));

  SECTION("the second read confirms") {
    CHECK(world.cycle().generation->removed == 1);
    CHECK_FALSE(world.accepted().contains("u7@example.com"));
  }
  SECTION("the server had lagged: nothing was ever lost") {
    world.sources["corp"].objects["u7example.com"] = {"SMTP:u7@example.com"};
    world.sources["corp"].server = "dc1";
    report = world.cycle();
    CHECK(report.hold_ended);
    CHECK_FALSE(report.generation);
    CHECK(world.accepted().contains("u7@example.com"));
  }
}

TEST_CASE("a lost canary holds any removal") {
  World world;
  world.config.guard.canaries = {"u1@example.com"};
  add_users(world.sources["corp"], 30);
  world.cycle();
  world.sources["corp"].objects.erase("u1example.com");
  world.sources["corp"].objects.erase("u2example.com");
  auto report = world.cycle();
  REQUIRE(report.hold);
  CHECK(world.accepted().contains("u2@example.com"));
  CHECK(world.cycle().hold);  // and still in the next cycle, though nothing changed
  world.sources["corp"].objects["u1example.com"] = {"SMTP:u1@example.com"};
  report = world.cycle();
  CHECK(report.generation->removed == 1);
}

TEST_CASE("a static reject text beats every other word, and its removal gives the address back") {
  World world;
  add_users(world.sources["corp"], 30);
  world.cycle();
  world.config.recipients.entries = {entry("u1@example.com", "550 5.1.1 has left"),
                                     entry("@partner.example")};
  auto report = world.cycle();
  CHECK(report.generation->changed == 1);
  CHECK_FALSE(world.accepted().contains("u1@example.com"));
  CHECK(world.access() == "u1@example.com\t550 5.1.1 has left\n");
  CHECK(world.accepted().contains("@partner.example"));
  world.config.recipients.entries = {};
  report = world.cycle();
  CHECK(report.generation->removed == 1);
  CHECK(report.generation->changed == 1);
  CHECK(world.accepted().contains("u1@example.com"));
  CHECK(world.access().empty());
}

TEST_CASE("a reject line of a source never beats another source's acceptance") {
  World world;
  world.sources["corp"].objects["a"] = {"SMTP:a@example.com"};
  world.sources["file"].objects["line1"] = {"a@example.com"};
  world.sources["file"].rejects["a@example.com"] = "550 no";
  world.sources["file"].objects["line2"] = {"b@example.com"};
  world.sources["file"].rejects["b@example.com"] = "550 no";
  world.cycle();
  CHECK(world.accepted() == std::set<std::string>{"a@example.com"});
  CHECK(world.access() == "b@example.com\t550 no\n");
}

TEST_CASE("a source taken out of the configuration is removals like any other") {
  World world;
  add_users(world.sources["corp"], 200);
  add_users(world.sources["other"], 100, "example.net");
  world.cycle();
  world.sources.erase("other");
  auto report = world.cycle();
  REQUIRE(report.hold);
  CHECK(report.hold->removed == 100);
  CHECK(world.accepted().size() == 300);
  world.config.guard.max_removal_percent = 100;
  report = world.cycle();
  INFO(report.hold.value_or(store::Hold{}).reason);
  CHECK(report.hold);  // a whole domain would vanish
}

TEST_CASE("changed rules judge what is stored again, also for a source that is away") {
  World world;
  world.sources["corp"].objects["a"] = {"SMTP:a@example.com", "smtp:a@example.net",
                                        "not an address"};
  world.cycle();
  world.sources["corp"].up = false;
  world.config.recipients.domains = {"example.com"};
  auto report = world.cycle();
  REQUIRE(report.hold);  // the source is away
  CHECK(world.accepted().contains("a@example.net"));
  world.sources["corp"].up = true;
  report = world.cycle();
  CHECK(report.generation->removed == 1);
  CHECK(world.accepted() == std::set<std::string>{"a@example.com"});
  world.config.recipients.domains = {};
  CHECK(world.cycle().generation->added == 1);
}

TEST_CASE("values that can never be recipients are counted and named once") {
  World world;
  world.sources["corp"].objects["a"] = {"SMTP:a@example.com", "smtp:evil\n@example.com",
                                        "smtp:@example.com", "smtp:*"};
  auto report = world.cycle();
  CHECK(report.dropped == 3);
  CHECK(report.dropped_sample.size() == 3);
  CHECK(world.table() == "a@example.com\tOK\n");
  CHECK(world.cycle().dropped == 0);
  world.sources["corp"].objects["a"].push_back("smtp:b@example.com");
  CHECK(world.cycle().dropped == 0);  // the object changed, its hopeless values did not
}

TEST_CASE("a million values on one object neither fill the store nor hide a good one") {
  World world;
  auto& values = world.sources["corp"].objects["a"];
  for (int i = 0; i < 20000; ++i) values.push_back("smtp:bad address " + std::to_string(i));
  values.push_back("smtp:good@example.com");
  const auto report = world.cycle();
  CHECK(report.dropped == 20000);
  CHECK(report.dropped_sample.size() == 20);
  CHECK(world.accepted() == std::set<std::string>{"good@example.com"});
}

TEST_CASE("counts in the store agree with its rows after any sequence of changes") {
  World world;
  world.config.guard.max_removal_percent = 40;
  SeededRandom random(GENERATE(1u, 2u, 3u, 4u, 5u));
  for (int step = 0; step < 60; ++step) {
    for (const auto* name : {"corp", "other"}) {
      auto& source = world.sources[name];
      source.up = random.next() % 8 != 0;
      if (random.next() % 10 == 0) source.server = random.next() % 2 ? "dc1" : "dc2";
      for (int i = 0; i < 5; ++i) {
        const auto key = std::to_string(random.next() % 20);
        if (random.next() % 3 == 0)
          source.objects.erase(key);
        else
          source.objects[key] = {"smtp:u" + std::to_string(random.next() % 25) + "@d" +
                                     std::to_string(random.next() % 3) + ".example",
                                 "smtp:v" + std::to_string(random.next() % 25) + "@d0.example"};
      }
    }
    if (random.next() % 10 == 0)
      world.config.recipients.domains = random.next() % 2
                                            ? std::vector<std::string>{"d0.example", "d1.example"}
                                            : std::vector<std::string>{};
    if (random.next() % 7 == 0)
      world.config.recipients.entries = {entry("u1@d0.example", random.next() % 2 ? "550 no" : ""),
                                         entry("@d9.example")};
    if (random.next() % 9 == 0) world.reopen();
    const auto before = world.accepted();
    const auto report = world.cycle();
    const auto after = world.accepted();

    // Held addresses stay in force.
    for (const auto& address : report.held) CHECK(after.contains(address));
    if (report.hold && report.current > 0)
      for (const auto& address : before) CHECK(after.contains(address));
    if (report.generation) CHECK(report.generation->digest == sha256(world.table()));

    std::uint64_t accepted = 0, supplied = 0;
    std::map<std::string, store::DomainRecord> domains;
    REQUIRE(world.store().read([&](store::View& view) -> Result<> {
      auto walked =
          view.each_recipient([&](std::string_view address, const store::RecipientRecord& record) {
            auto& domain = domains[std::string(address.substr(address.rfind('@') + 1))];
            accepted += record.reject.empty();
            domain.accepted += record.reject.empty();
            supplied += record.supplied;
            domain.supplied += record.supplied;
            return true;
          });
      if (!walked) return walked;
      const auto meta = view.meta();
      CHECK(meta->accepted == accepted);
      CHECK(meta->supplied == supplied);
      for (const auto& [name, count] : *view.domains()) {
        CHECK(domains[name].accepted == count.accepted);
        CHECK(domains[name].supplied == count.supplied);
      }
      return {};
    }));
  }
}

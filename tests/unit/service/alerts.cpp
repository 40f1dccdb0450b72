// One alert when a condition begins and one when it ends; what is too much is summed up.
#include "service/alerts.hpp"

#include <fstream>

#include "base/digest.hpp"
#include "catch.hpp"
#include "folder.hpp"
#include "service/alert_file.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace std::chrono_literals;

namespace {

const WallTime noon = parse_rfc3339("2026-03-01T12:00:00Z").value();

Digest digest_of(std::string_view text) {
  return sha256(text);
}

/// How things are, told what happened, and asked for alerts as service/reporter does it.
struct World {
  config::Notify settings;
  StatusReport report;
  AlertMemory memory;
  AlertNews news;
  WallTime started = noon;
  std::optional<WallTime> due;

  World() {
    settings.command = {"/bin/alert"};
    report.now = noon;
    report.generation = 7;
    report.recipients = 1000;
    report.sources.push_back({"corp", "active-directory", {}, 900, 1000, false});
    report.sources[0].runtime.complete = true;
    report.targets.push_back({"mx1", "mx1.example.net", sync::TargetState::current, {}});
    report.targets[0].record.generation = 7;
  }

  std::vector<Alert> look() {
    due.reset();
    count_failures(report, news, memory);
    auto alerts = judge(settings, report, news, started, memory, due);
    news = {};
    return alerts;
  }
  /// Each alert as `+condition` or `-condition`.
  std::vector<std::string> told() {
    std::vector<std::string> names;
    for (const auto& alert : look())
      names.push_back((alert.state == Alert::State::raised ? "+" : "-") + alert.condition);
    return names;
  }

  void hold(std::string_view name, std::uint64_t removed = 12) {
    report.held = store::Hold{};
    report.held->digest = digest_of(name);
    report.held->since = report.now;
    report.held->removed = removed;
    report.held->reason = "max_removals: 12 of at most 10";
  }
  void poll(bool good) {
    auto& runtime = report.sources[0].runtime;
    runtime.complete = good;
    runtime.last_error = good ? "" : "dc1: no answer for 60 s";
    if (!good) news.failed_polls["corp"] = 1;
  }
  void happened(EventKind kind, const std::string& target = {}) {
    Event event{kind, Priority::notice, "it happened"};
    event.target = target;
    news.events.push_back(event);
  }
  void restart() {
    test::Folder folder;
    REQUIRE(save_alerts(folder.path(), memory));
    const auto loaded = load_alerts(folder.path());
    REQUIRE(loaded);
    REQUIRE(*loaded == memory);
    memory = *loaded;
    started = report.now;
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("nothing is told while all is well") {
  World world;
  CHECK(world.told().empty());
  CHECK_FALSE(world.due);
  CHECK(world.memory == AlertMemory());
}

TEST_CASE("a held change is told once for each set of removals, and when it is over") {
  World world;
  world.hold("a");
  const auto a = "change-held:" + digest_of("a").hex(), b = "change-held:" + digest_of("b").hex();
  const auto alerts = world.look();
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].event == "change-held");
  CHECK(alerts[0].summary == "12 removals are held");
  CHECK(alerts[0].text.find("rcptsyncctl approve " + digest_of("a").hex()) != std::string::npos);
  CHECK(alerts[0].details["removed"] == 12);
  world.report.now += 5min;
  CHECK(world.told().empty());
  world.restart();
  CHECK(world.told().empty());
  world.hold("b");
  CHECK(world.told() == Names{"-" + a, "+" + b});
  world.report.held.reset();
  world.report.now += 90s;
  const auto over = world.look();
  REQUIRE(over.size() == 1);
  CHECK(over[0].state == Alert::State::cleared);
  CHECK(over[0].condition == b);
  CHECK(over[0].summary == "12 removals are not held any more");
  CHECK(over[0].text == "It began 1m ago.");
  CHECK(over[0].details["digest"] == digest_of("b").hex());
  CHECK(world.memory.raised.empty());
}

TEST_CASE("a held first table is told without a digest, so its figures do not tell it again") {
  World world;
  world.report.generation = 0;
  world.report.targets.clear();
  world.hold("a");
  CHECK(world.told() == Names{"+first-table-held"});
  world.hold("b", 13);
  CHECK(world.told().empty());
  world.report.held.reset();
  world.report.generation = 1;
  CHECK(world.told() == Names{"-first-table-held"});
}

TEST_CASE("a target whose first table is held is told, and is not behind") {
  World world;
  auto& record = world.report.targets[0].record;
  record.generation = 0;
  record.hold = store::Hold{};
  record.hold->digest = digest_of("x");
  record.hold->removed = 40;
  const auto name = "target-held:mx1:" + digest_of("x").hex();
  CHECK(world.told() == Names{"+" + name});
  world.report.now += 48h;
  CHECK(world.told().empty());
  record.hold.reset();
  record.generation = 7;
  CHECK(world.told() == Names{"-" + name});
}

TEST_CASE("a source is told after as many failed polls as are configured") {
  World world;
  world.poll(false);
  CHECK(world.told().empty());
  world.poll(true);
  CHECK(world.told().empty());
  for (int i = 0; i < 2; ++i) {
    world.poll(false);
    CHECK(world.told().empty());
    world.restart();
  }
  // Looks that are no polls do not count.
  for (int i = 0; i < 5; ++i) CHECK(world.told().empty());
  world.poll(false);
  const auto alerts = world.look();
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].condition == "source-failing:corp");
  CHECK(alerts[0].summary == "source corp was not read for 3 polls");
  CHECK(alerts[0].details["error"] == "dc1: no answer for 60 s");
  world.poll(false);
  CHECK(world.told().empty());

  // After a start without status.json it is not known how the source is.
  world.report.sources[0].runtime = {};
  world.restart();
  CHECK(world.told().empty());
  world.poll(true);
  CHECK(world.told() == Names{"-source-failing:corp"});
}

TEST_CASE("failing_polls: 0 and behind: 0s tell nothing") {
  World world;
  world.settings.failing_polls = 0;
  world.settings.behind = config::Seconds{0};
  world.report.targets[0].record.attempts = 1;
  for (int i = 0; i < 10; ++i) {
    world.poll(false);
    world.report.now += 24h;
    CHECK(world.told().empty());
    CHECK_FALSE(world.due);
  }
}

TEST_CASE("a source or a target that is configured no more is over") {
  World world;
  world.settings.failing_polls = 1;
  world.poll(false);
  world.report.targets[0].record.attempts = 1;
  CHECK(world.told() == Names{"+source-failing:corp"});
  world.report.now += 1h;
  CHECK(world.told() == Names{"+target-behind:mx1"});
  world.report.sources.clear();
  world.report.targets.clear();
  CHECK(world.told() == Names{"-source-failing:corp", "-target-behind:mx1"});
  CHECK(world.memory == AlertMemory());
}

TEST_CASE("a state that cannot be written is told like a failing source") {
  World world;
  for (int i = 0; i < 2; ++i) {
    world.happened(EventKind::poll_failed);
    CHECK(world.told().empty());
  }
  world.happened(EventKind::poll_failed);
  CHECK(world.told() == Names{"+state-failing"});
  world.happened(EventKind::poll_unchanged);
  CHECK(world.told() == Names{"-state-failing"});
}

TEST_CASE("a target that gets nothing is told when the time is over, even if nothing happens") {
  World world;
  auto& target = world.report.targets[0];
  world.report.generation = 8;
  target.state = sync::TargetState::pushing;
  CHECK(world.told().empty());
  CHECK(world.due == noon + 15min);
  target.state = sync::TargetState::failing;
  target.record.attempts = 3;
  target.record.last_error = "connection refused";
  world.report.now = noon + 15min - 1s;
  CHECK(world.told().empty());
  world.report.now = noon + 15min;
  const auto alerts = world.look();
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].condition == "target-behind:mx1");
  CHECK(alerts[0].summary == "target mx1 is behind for 15m");
  CHECK(alerts[0].since == noon);
  CHECK(alerts[0].details == AlertDetails({{"target", "mx1"},
                                           {"host", "mx1.example.net"},
                                           {"generation", 7},
                                           {"wanted", 8},
                                           {"attempts", 3},
                                           {"last_success", nullptr},
                                           {"error", "connection refused"}}));
  // A new generation, and a restart, do not tell it again.
  world.report.generation = 9;
  world.report.now += 1h;
  world.restart();
  CHECK(world.told().empty());
  target.record.generation = 9;
  target.record.attempts = 0;
  CHECK(world.told() == Names{"-target-behind:mx1"});
}

TEST_CASE("a target that gets tables, only later than they come, is not behind") {
  World world;
  auto& record = world.report.targets[0].record;
  for (std::uint64_t generation = 8; generation < 100; ++generation) {
    world.report.generation = generation;
    record.generation = generation - 1;
    world.report.now += 10min;
    CHECK(world.told().empty());
  }
}

TEST_CASE("a target that was behind before a start is tried before it is told") {
  World world;
  world.report.generation = 8;
  CHECK(world.told().empty());
  world.report.now += 72h;  // the daemon was stopped
  world.restart();
  CHECK(world.told().empty());
  CHECK(world.due == world.report.now + 15min);
  // One that is known to fail has had its time, so restarts in a row do not put it off for ever.
  world.report.targets[0].record.attempts = 1;
  CHECK(world.told() == Names{"+target-behind:mx1"});
}

TEST_CASE("a disabled target is never told, and ends what was") {
  World world;
  auto& target = world.report.targets[0];
  target.record.attempts = 1;
  CHECK(world.told().empty());
  world.report.now += 1h;
  CHECK(world.told() == Names{"+target-behind:mx1"});
  target.state = sync::TargetState::disabled;
  CHECK(world.told() == Names{"-target-behind:mx1"});
}

TEST_CASE("drift that is mended at once is one alert") {
  World world;
  world.happened(EventKind::target_drifted, "mx1");
  world.happened(EventKind::push_done, "mx1");
  const auto alerts = world.look();
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].condition == "target-drifted:mx1");
  CHECK(alerts[0].details["mended"] == true);
  CHECK(world.memory.raised.empty());
  CHECK(world.told().empty());
}

TEST_CASE("drift that stays is told once and again when it is mended") {
  World world;
  world.happened(EventKind::target_drifted, "mx1");
  CHECK(world.told() == Names{"+target-drifted:mx1"});
  world.happened(EventKind::target_drifted, "mx1");
  world.restart();
  CHECK(world.told().empty());
  world.happened(EventKind::push_done, "another");
  CHECK(world.told().empty());
  world.happened(EventKind::target_current, "mx1");
  CHECK(world.told() == Names{"-target-drifted:mx1"});
}

TEST_CASE("what a person decided is told once, without an end") {
  World world;
  Event approved{EventKind::change_approved, Priority::notice, "root approved 12 removals"};
  approved.digest = digest_of("a").hex();
  approved.removed = 12;
  Event rejected = approved;
  rejected.kind = EventKind::change_rejected;
  Event back{EventKind::rolled_back, Priority::notice, "generation 3 is current again"};
  back.generation = 3;
  world.news.events = {approved, rejected, back};
  const auto alerts = world.look();
  REQUIRE(alerts.size() == 3);
  CHECK(alerts[0].condition == "change-approved:" + digest_of("a").hex());
  CHECK(alerts[0].summary == "12 removals approved");
  CHECK(alerts[1].condition == "change-rejected:" + digest_of("a").hex());
  CHECK(alerts[2].condition == "rolled-back:3");
  CHECK(world.told().empty());
  // A hold that ended by itself has no digest; that is the end of change-held.
  world.happened(EventKind::change_approved);
  CHECK(world.told().empty());
}

// ---- the JSON

TEST_CASE("the document is one line with keys that do not change") {
  Alert alert;
  alert.event = "change-held";
  alert.condition = "change-held:00ff";
  alert.time = noon;
  alert.since = noon - 1h;
  alert.summary = "one\r\nBcc: everybody";
  alert.text = "a\nb";
  alert.details = {{"removed", 1}, {"reason", "\xff \" \n"}};
  CHECK(document(alert, "admin1") ==
        "{\"version\":1,\"event\":\"change-held\",\"condition\":\"change-held:00ff\","
        "\"state\":\"raised\",\"time\":\"2026-03-01T12:00:00Z\",\"since\":\"2026-03-01T11:00:00Z\","
        "\"host\":\"admin1\",\"summary\":\"one  Bcc: everybody\",\"text\":\"a b\","
        "\"details\":{\"removed\":1,\"reason\":\"\xef\xbf\xbd \\\" \\n\"}}\n");
  alert.state = Alert::State::cleared;
  CHECK(document(alert, "admin1").find("\"state\":\"cleared\"") != std::string::npos);
}

// ---- at most so many

namespace {

std::vector<Alert> alerts_at(WallTime time, std::size_t count) {
  std::vector<Alert> alerts(count);
  for (std::size_t i = 0; i < count; ++i) {
    alerts[i].event = "target-behind";
    alerts[i].condition = "target-behind:" + std::to_string(i);
    alerts[i].time = time;
    alerts[i].summary = "target " + std::to_string(i);
  }
  return alerts;
}

}  // namespace

TEST_CASE("what is too much in an hour is summed up a minute later") {
  AlertMemory memory;
  std::optional<WallTime> due;
  limit(alerts_at(noon, 60), noon, memory, due);
  CHECK(memory.queue.size() == 19);
  CHECK(memory.waiting.size() == 41);
  CHECK(due == noon + 1min);
  due.reset();
  limit(alerts_at(noon + 30s, 1), noon + 30s, memory, due);
  CHECK(memory.queue.size() == 19);
  limit({}, noon + 1min, memory, due);
  REQUIRE(memory.queue.size() == 20);
  const auto& sum = memory.queue.back();
  CHECK(sum.event == "alerts-summed-up");
  CHECK(sum.summary == "42 more alerts");
  CHECK(sum.details["raised"] == 42);
  CHECK(sum.details["not_listed"] == 0);
  CHECK(sum.details["alerts"].size() == 42);
  CHECK(sum.details["alerts"][0]["condition"] == "target-behind:19");
  CHECK(memory.waiting.empty());

  // The hour is full. What comes now waits until the first has left it.
  due.reset();
  limit(alerts_at(noon + 2min, 1), noon + 2min, memory, due);
  due.reset();
  limit(alerts_at(noon + 50min, 1), noon + 50min, memory, due);
  CHECK(memory.queue.size() == 20);
  CHECK(due == noon + 60min);
  limit({}, noon + 60min, memory, due);
  CHECK(memory.queue.size() == 21);
  CHECK(memory.queue.back().summary == "2 more alerts");
}

TEST_CASE("never more than twenty in any hour, whatever comes") {
  AlertMemory memory;
  std::vector<WallTime> sent;
  std::uint64_t came = 0, told = 0;
  for (auto now = noon; now < noon + 6h; now += 20s) {
    std::optional<WallTime> due;
    const std::size_t fresh = now < noon + 4h ? (now - noon) / 20s % 3 : 0;
    came += fresh;
    limit(alerts_at(now, fresh), now, memory, due);
    for (const auto& alert : memory.queue) {
      sent.push_back(now);
      told += alert.event == "alerts-summed-up" ? std::stoul(alert.summary) : 1;
    }
    memory.queue.clear();
  }
  for (std::size_t i = 20; i < sent.size(); ++i) CHECK(sent[i] - sent[i - 20] >= 1h);
  CHECK(memory.waiting.empty());
  CHECK(told == came);
}

TEST_CASE("a flood is counted and does not grow without end") {
  AlertMemory memory;
  std::optional<WallTime> due;
  limit(alerts_at(noon, 100'000), noon, memory, due);
  CHECK(memory.waiting.size() == 200);
  limit({}, noon + 1min, memory, due);
  const auto& sum = memory.queue.back();
  CHECK(sum.summary == "99981 more alerts");
  CHECK(sum.details["alerts"].size() == 100);
  CHECK(sum.details["not_listed"] == 99'881);
  CHECK(document(sum, "h").size() < 60'000);
}

TEST_CASE("a single one that waited is sent as it is") {
  AlertMemory memory;
  std::optional<WallTime> due;
  limit(alerts_at(noon, 20), noon, memory, due);
  limit({}, noon + 1min, memory, due);
  CHECK(memory.queue.back().condition == "target-behind:19");
}

TEST_CASE("a clock that is set back does not silence anything") {
  AlertMemory memory;
  std::optional<WallTime> due;
  limit(alerts_at(noon, 25), noon, memory, due);
  limit(alerts_at(noon - 24h, 1), noon - 24h, memory, due);
  CHECK(memory.waiting.empty());
  CHECK(memory.queue.size() == 20);
}

// ---- the file

TEST_CASE("a missing file is nothing told, a damaged one says so") {
  test::Folder folder;
  CHECK(load_alerts(folder.path()).value() == AlertMemory());
  World world;
  world.hold("a");
  limit(world.look(), noon, world.memory, world.due);
  limit(alerts_at(noon, 30), noon, world.memory, world.due);
  REQUIRE(save_alerts(folder.path(), world.memory));
  CHECK(load_alerts(folder.path()).value() == world.memory);

  std::string bytes;
  std::getline(std::ifstream(folder.path() / "alerts.json"), bytes);
  const auto put = [&](const std::string& text) {
    std::ofstream(folder.path() / "alerts.json", std::ios::trunc) << text;
    return load_alerts(folder.path());
  };
  CHECK(put(bytes).value() == world.memory);
  for (const std::string& text :
       {std::string(), bytes.substr(0, bytes.size() / 2), std::string("[]"), std::string("{}"),
        "{\"alerts\":{},\"sha256\":\"" + sha256("{}").hex() + "\"}"})
    CHECK(put(text).error().code == Errc::damaged);
  for (std::size_t i = 0; i < bytes.size(); i += 7) {
    auto other = bytes;
    other[i] = static_cast<char>(other[i] ^ 1);
    CHECK_FALSE(put(other));
  }
}

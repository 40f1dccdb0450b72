// What holds is carried to the administrator's program and to the metrics file, once, whatever
// happens to the daemon and to the program.
#include "service/reporter.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>

#include "base/file.hpp"
#include "catch.hpp"
#include "folder.hpp"
#include "service/alert_file.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace std::chrono_literals;

namespace {

class Log final : public EventSink {
 public:
  void emit(const Event& event) override {
    const std::lock_guard lock(mutex_);
    text_ += event.message + "\n";
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

/// A daemon with one source, a real state and a program that is a shell script.
struct House {
  explicit House(const std::string& script = "cat >>told") {
    settings.state_dir = folder.path();
    settings.notify.failing_polls = 1;
    config::Source source;
    source.name = "corp";
    settings.sources.push_back(source);
    program(script);
    start();
  }
  void program(const std::string& script) {
    settings.notify.command = {"/bin/sh", "-c", "cd " + folder.path().native() + "; " + script};
  }
  void start() {
    reporter.reset();
    store.reset();
    auto opened = store::open_owner(folder.path());
    REQUIRE(opened);
    store = std::move(*opened);
    reporter.emplace(*store, log, times);
    configure();
  }
  void configure() { reporter->configure(std::make_shared<const config::Config>(settings)); }

  /// One poll, and what follows from it is told.
  void poll(bool good) {
    auto& source = runtime.sources["corp"];
    source.complete = good;
    source.last_error = good ? "" : "no answer";
    reporter->polled(runtime);
    reporter->look(runtime);
  }
  void poll_and_finish(bool good) {
    poll(good);
    reporter->finish();
  }
  /// Condition and state of all that the program was told.
  std::vector<std::string> told() {
    std::vector<std::string> names;
    std::ifstream file(folder.path() / "told");
    for (std::string line; std::getline(file, line);) {
      const auto alert = AlertDetails::parse(line);
      names.push_back(alert["condition"].get<std::string>() + " " +
                      alert["state"].get<std::string>());
    }
    return names;
  }
  bool exists(const char* name) { return std::filesystem::exists(folder.path() / name); }
  void wait_for(const char* name) {
    for (int i = 0; i < 2000 && !exists(name); ++i) std::this_thread::sleep_for(5ms);
    REQUIRE(exists(name));
  }

  test::Folder folder;
  config::Config settings;
  RuntimeStatus runtime;
  Log log;
  ReporterTimes times{20s, 200ms, {1ms, 1ms}};
  std::unique_ptr<store::Store> store;
  std::optional<Reporter> reporter;
};

using Told = std::vector<std::string>;

}  // namespace

TEST_CASE("a condition is told when it begins and when it ends") {
  House house;
  house.poll_and_finish(true);
  CHECK(house.told().empty());
  house.poll_and_finish(false);
  house.poll_and_finish(false);
  CHECK(house.told() == Told{"source-failing:corp raised"});
  house.poll_and_finish(true);
  CHECK(house.told() == Told{"source-failing:corp raised", "source-failing:corp cleared"});
}

TEST_CASE("a restart repeats nothing; without alerts.json it is repeated once") {
  House house;
  house.poll_and_finish(false);
  for (int i = 0; i < 3; ++i) {
    house.start();
    house.poll_and_finish(false);
  }
  CHECK(house.told() == Told{"source-failing:corp raised"});
  house.reporter.reset();
  std::filesystem::remove(house.folder.path() / "alerts.json");
  for (int i = 0; i < 3; ++i) {
    house.start();
    house.poll_and_finish(false);
  }
  CHECK(house.told().size() == 2);
  house.reporter.reset();
  std::ofstream(house.folder.path() / "alerts.json") << "{";
  house.start();
  house.poll_and_finish(false);
  CHECK(house.told().size() == 3);
  CHECK(house.log.text().find("alerts.json is damaged") != std::string::npos);
}

TEST_CASE("a program that fails is run three times, and then it is said that nobody was told") {
  House house("echo x >>runs; cat >last; exit 3");
  house.poll_and_finish(false);
  CHECK(read_file(house.folder.path() / "runs", 100).value() == "x\nx\nx\n");
  const auto said = house.log.text();
  CHECK(said.find("notify.command: exit status 3; it is tried again: source corp") !=
        std::string::npos);
  CHECK(said.find("notify.command: exit status 3; given up, nobody was told: source corp") !=
        std::string::npos);
  // Not for ever, and not again after a restart.
  house.start();
  house.poll_and_finish(false);
  CHECK(read_file(house.folder.path() / "runs", 100).value() == "x\nx\nx\n");
}

TEST_CASE("a program that fails once has told it") {
  House house("cat >>all; test -e seen || { touch seen; exit 1; }; tail -n 1 all >>told");
  house.poll_and_finish(false);
  CHECK(house.told() == Told{"source-failing:corp raised"});
  CHECK(house.log.text().find("given up") == std::string::npos);
}

TEST_CASE("the program gets its event by name, and its words are said, escaped and marked") {
  House house(
      "echo \"$RCPTSYNC_EVENT\"; printf 'a\\033[2Jb\\n'; env | sort | cut -d= -f1 | tr '\\n' ' '");
  house.poll_and_finish(false);
  const auto said = house.log.text();
  CHECK(said.find("notify.command says: source-failing\n") != std::string::npos);
  CHECK(said.find("notify.command says: a\\x1b[2Jb\n") != std::string::npos);
  CHECK(said.find("notify.command says: LANG OLDPWD PATH PWD RCPTSYNC_EVENT") != std::string::npos);
}

TEST_CASE("nobody waits for a program that hangs, and a stop ends it in its time") {
  House house("touch started; trap '' TERM; while :; do sleep 60; done");
  house.poll(false);
  house.wait_for("started");
  const auto began = system_clock().steady();
  for (int i = 0; i < 100; ++i) house.poll(i % 2 != 0);
  house.reporter->emit({EventKind::diagnostic, Priority::info, "x"});
  CHECK(system_clock().steady() - began < 1s);
  house.reporter->stop(500ms);
  house.reporter->finish();
  house.reporter.reset();
  CHECK(system_clock().steady() - began < 5s);
}

TEST_CASE("what a stop interrupted is told after the next start") {
  House house("touch started; sleep 60");
  house.poll(false);
  house.wait_for("started");
  house.reporter->stop(100ms);
  house.program("cat >>told");
  house.start();
  house.reporter->finish();
  CHECK(house.told() == Told{"source-failing:corp raised"});
}

TEST_CASE("a program that has time to end during a stop is not run again") {
  House house("touch started; sleep 0.3; cat >>told");
  house.poll(false);
  house.wait_for("started");
  house.reporter->stop(10s);
  house.start();
  house.reporter->finish();
  CHECK(house.told() == Told{"source-failing:corp raised"});
}

TEST_CASE("without a command nobody is told; with one, what holds then is") {
  House house;
  house.settings.notify.command.clear();
  house.configure();
  house.poll_and_finish(false);
  CHECK(house.told().empty());
  CHECK_FALSE(house.exists("alerts.json"));
  house.program("cat >>told");
  house.configure();
  house.poll_and_finish(false);
  CHECK(house.told() == Told{"source-failing:corp raised"});
}

TEST_CASE("with nobody to tell the state is not read, and failures are counted all the same") {
  House house;
  house.settings.notify.failing_polls = 2;
  house.settings.notify.command.clear();
  house.configure();
  const auto orders = house.folder.path() / "orders";
  std::ofstream(orders) << "not a folder";  // no status can be had
  house.poll_and_finish(false);
  CHECK(house.log.text().empty());
  std::filesystem::remove(orders);
  house.program("cat >>told");
  house.configure();
  house.poll_and_finish(false);
  CHECK(house.told() == Told{"source-failing:corp raised"});
}

TEST_CASE("what happened while the status could not be had is told afterwards") {
  House house;
  house.settings.notify.failing_polls = 2;
  house.configure();
  const auto orders = house.folder.path() / "orders";
  std::ofstream(orders) << "not a folder";
  Event event{EventKind::rolled_back, Priority::notice, "generation 3 is current again"};
  event.generation = 3;
  house.reporter->emit(event);
  house.poll_and_finish(false);
  CHECK(house.told().empty());
  CHECK(house.log.text().find("alerts and metrics: ") != std::string::npos);
  std::filesystem::remove(orders);
  house.poll_and_finish(false);
  auto told = house.told();
  std::sort(told.begin(), told.end());
  CHECK(told == Told{"rolled-back:3 raised", "source-failing:corp raised"});
}

TEST_CASE("what happened between two looks is told from its event") {
  House house;
  Event event{EventKind::rolled_back, Priority::notice, "generation 3 is current again"};
  event.generation = 3;
  house.reporter->emit(event);
  house.poll_and_finish(true);
  CHECK(house.told() == Told{"rolled-back:3 raised"});
  CHECK(house.log.text().find("generation 3 is current again") != std::string::npos);
}

TEST_CASE("the metrics file is whole, readable for others, and follows what holds") {
  House house;
  ::umask(077);
  house.settings.metrics_file = house.folder.path() / "metrics.prom";
  house.configure();
  house.poll_and_finish(false);
  auto text = read_file(house.settings.metrics_file, 1 << 20).value();
  CHECK(text.find("\nrcptsync_source_up{source=\"corp\"} 0\n") != std::string::npos);
  CHECK(text.find("\nrcptsync_source_failed_polls{source=\"corp\"} 1\n") != std::string::npos);
  struct stat status {};
  REQUIRE(::stat(house.settings.metrics_file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
  house.poll_and_finish(true);
  text = read_file(house.settings.metrics_file, 1 << 20).value();
  CHECK(text.find("\nrcptsync_source_up{source=\"corp\"} 1\n") != std::string::npos);
  CHECK(text.find("\nrcptsync_source_failed_polls{source=\"corp\"} 0\n") != std::string::npos);

  house.settings.metrics_file = house.folder.path() / "nowhere" / "metrics.prom";
  house.configure();
  house.poll_and_finish(true);
  house.poll_and_finish(true);
  const auto said = house.log.text();
  CHECK(said.find("metrics_file: cannot create") != std::string::npos);
  CHECK(said.find("metrics_file:") == said.rfind("metrics_file:"));
}

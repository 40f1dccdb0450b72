#include "service/engine.hpp"

#include <boost/asio/co_spawn.hpp>
#include <mutex>

#include "base/file.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;
using source::ReadKind;

namespace {

/// A directory that numbers its changes, and gives that number as the cookie.
struct Directory {
  struct Object {
    std::string address;
    unsigned version = 0;
    bool gone = false;
  };
  void put(const std::string& key) { objects[key] = {key + "@example.com", ++version, false}; }
  void remove(const std::string& key) { objects[key] = {"", ++version, true}; }

  std::map<std::string, Object> objects;
  unsigned version = 0;
  std::set<std::string> unseen_by_increments;
  std::vector<std::string> warnings;
  std::string behind;
  bool deletions_unseen = false;
  bool up = true;
  std::function<void(std::stop_token)> during_read = [](std::stop_token) {};
  std::vector<std::pair<ReadKind, std::string>> asked;  ///< kind and cookie of every read
};

class DirectorySource final : public source::Source {
 public:
  explicit DirectorySource(Directory& directory) : directory_(directory) {}

  Result<source::Complete> read(const source::ReadRequest& request, recipient::ObjectSink& sink,
                                std::stop_token stop) override {
    auto& d = directory_;
    d.asked.emplace_back(request.kind, request.cookie);
    d.during_read(stop);
    if (stop.stop_requested()) return Error{Errc::cancelled, "stopped"};
    if (!d.up) return Error{Errc::unreachable, "dc1: refused"};
    const bool full = request.kind == ReadKind::full || request.cookie.empty();
    const auto since = full ? 0U : static_cast<unsigned>(std::stoul(request.cookie));
    for (const auto& [key, object] : d.objects) {
      if (object.version <= since || (!full && d.unseen_by_increments.contains(key))) continue;
      const recipient::Value value{"mail", object.address, {}};
      if (!object.gone)
        sink.upsert({key, "cn=" + key, recipient::ObjectClass::user, recipient::Drop::kept,
                     std::span(&value, 1)});
      else if (!full)
        sink.remove(key);
    }
    source::Complete complete;
    complete.kind = full ? ReadKind::full : ReadKind::incremental;
    complete.unseen_gone = full;
    complete.server = "dc1";
    complete.behind = d.behind;
    complete.deletions_unseen = full && d.deletions_unseen;
    complete.cookie = std::to_string(d.version);
    complete.warnings = d.warnings;
    return complete;
  }

 private:
  Directory& directory_;
};

class Log final : public EventSink {
 public:
  void emit(const Event& event) override {
    const std::lock_guard lock(mutex_);
    events.push_back(event);
  }
  std::vector<Event> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events, {});
  }
  std::vector<Event> events;

 private:
  std::mutex mutex_;
};

struct House {
  House() {
    config.state_dir = folder.path();
    for (const auto* name : {"corp", "other"}) {
      config::Source source;
      source.name = name;
      config.sources.push_back(source);
    }
    directories["corp"].put("ada");
    directories["corp"].put("bob");
    directories["other"].put("olga");
    start();
  }

  /// As after a restart of the daemon.
  void start() {
    engine.reset();
    auto store = store::open_owner(folder.path());
    REQUIRE(store);
    engine.emplace(io, std::move(*store), log, [this](const config::Source& source) {
      return Result<std::unique_ptr<source::Source>>(
          std::make_unique<DirectorySource>(directories.at(source.name)));
    });
    configure();
  }
  void configure() { REQUIRE(engine->configure(std::make_shared<const config::Config>(config))); }

  CycleOutcome cycle(CycleRequest request = {}, std::stop_token stop = {}) {
    std::optional<CycleOutcome> outcome;
    auto run = [&]() -> boost::asio::awaitable<void> {
      outcome = co_await engine->cycle(std::move(request), stop);
    };
    boost::asio::co_spawn(io, run, [](std::exception_ptr failure) { REQUIRE(!failure); });
    io.restart();
    io.run();
    return std::move(*outcome);
  }
  CycleOutcome ring(const std::string& source) {
    CycleRequest request;
    request.occasion = Occasion::ring;
    request.cause = store::Cause::notification;
    request.sources = {source};
    return cycle(std::move(request));
  }

  Directory& corp() { return directories["corp"]; }
  std::string state() { return read_file(folder.path() / "data.mdb", 1 << 28).value(); }

  Folder folder;
  config::Config config;
  std::map<std::string, Directory> directories;
  Log log;
  boost::asio::io_context io{1};
  std::optional<Engine> engine;
};

bool says(const std::vector<Event>& events, Priority priority, const std::string& text) {
  return std::any_of(events.begin(), events.end(), [&](const Event& event) {
    return event.priority == priority && event.message.find(text) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("after a full read, polls are incremental, also after a restart") {
  House house;
  CHECK(house.cycle().report.generation->added == 3);
  house.corp().put("cyd");
  CHECK(house.cycle().report.generation->added == 1);
  house.corp().remove("ada");
  CHECK(house.cycle().report.generation->removed == 1);
  house.start();
  CHECK_FALSE(house.cycle().report.generation);
  using Asked = std::vector<std::pair<ReadKind, std::string>>;
  CHECK(house.corp().asked == Asked{{ReadKind::full, ""},
                                    {ReadKind::incremental, "2"},
                                    {ReadKind::incremental, "3"},
                                    {ReadKind::incremental, "4"}});
}

TEST_CASE("an unchanged poll keeps its newer cookie, and not in the state") {
  House house;
  house.cycle();
  const auto before = house.state();
  house.corp().version = 70;  // of changes that are none for us
  CHECK_FALSE(house.cycle().report.generation);
  CHECK(house.state() == before);
  SECTION("from which a restart goes on") {
    house.start();
    house.cycle();
    CHECK(house.corp().asked.back().second == "70");
    SECTION("unless the file is gone: then the state's own") {
      std::filesystem::remove(house.folder.path() / "cookies.json");
      house.start();
      house.cycle();
      CHECK(house.corp().asked.back().second == "2");
    }
  }
  SECTION("which counts no more when the state has gone on") {
    const auto old = read_file(house.folder.path() / "cookies.json", 1 << 20).value();
    house.corp().put("cyd");
    house.cycle();
    // Killed between the commit and the file: the old file stands beside the new state.
    REQUIRE(replace_file(house.folder.path() / "cookies.json", old, 0600));
    house.start();
    house.cycle();
    CHECK(house.corp().asked.back().second == "71");
  }
}

TEST_CASE("without status.json everything is read in full") {
  House house;
  house.cycle();
  house.engine.reset();
  std::filesystem::remove(house.folder.path() / "status.json");
  house.start();
  house.cycle();
  CHECK(house.corp().asked.back() == std::pair(ReadKind::full, std::string("2")));
}

TEST_CASE("another version of the program reads everything in full once") {
  House house;
  house.cycle();
  house.cycle();
  house.engine.reset();
  auto status = load_runtime(house.folder.path());
  status.program = "an older one";
  REQUIRE(save_runtime(house.folder.path(), status));
  house.start();
  house.log.take();
  house.corp().put("cyd");
  house.cycle();
  CHECK(house.corp().asked.back().first == ReadKind::full);
  CHECK_FALSE(says(house.log.take(), Priority::error, "missed"));
  house.cycle();
  CHECK(house.corp().asked.back().first == ReadKind::incremental);
}

TEST_CASE("a read that could not be committed is read again") {
  House house;
  house.cycle();
  house.corp().up = false;
  house.cycle();
  house.corp().up = true;
  house.corp().put("cyd");
  house.cycle();
  CHECK(house.corp().asked.back().second == "2");
}

TEST_CASE("a ring reads only the source that rang, and the others stand as they were") {
  House house;
  house.cycle();
  house.corp().put("cyd");
  house.corp().remove("ada");
  house.directories["other"].remove("olga");
  const auto outcome = house.ring("corp");
  REQUIRE(outcome.report.generation);
  CHECK(outcome.report.generation->cause == store::Cause::notification);
  CHECK(outcome.report.generation->added == 1);
  CHECK(outcome.report.generation->removed == 0);
  CHECK_FALSE(outcome.report.hold);
  CHECK(house.directories["other"].asked.size() == 1);
  CHECK(house.cycle().report.generation->removed == 2);

  house.directories["other"].up = false;
  house.cycle();
  house.corp().remove("bob");
  CHECK(house.ring("corp").report.hold);  // other's last read failed
}

TEST_CASE("an order before the first read takes no source for one that failed") {
  House house;
  house.cycle();
  house.corp().remove("ada");
  house.ring("corp");  // waits for the poll
  house.start();
  CycleRequest request;
  request.occasion = Occasion::order;
  auto outcome = house.cycle(request);
  CHECK(outcome.committed);
  CHECK_FALSE(outcome.report.hold);
  CHECK_FALSE(outcome.report.generation);
  house.directories["other"].up = false;
  house.cycle();
  outcome = house.cycle(request);
  REQUIRE(outcome.report.hold);
  CHECK(outcome.report.hold->reason == "removals wait for source whose last read failed: other");
}

TEST_CASE("removals of a lagging server wait, rings do not confirm them, a full read does") {
  House house;
  house.cycle();
  house.corp().remove("ada");
  house.corp().behind = "dc1 was set back";
  CHECK(house.cycle().report.hold);
  house.corp().behind.clear();
  CHECK(house.ring("corp").report.hold);
  CHECK(house.corp().asked.back().first == ReadKind::incremental);
  CHECK_FALSE(house.cycle().report.hold);
  CHECK(house.corp().asked.back().first == ReadKind::full);
}

TEST_CASE("what increments missed is found by the next full read, and named") {
  House house;
  house.corp().put("cyd");
  house.cycle();
  house.corp().unseen_by_increments = {"cyd", "dan"};
  house.corp().remove("cyd");
  house.corp().put("dan");
  CHECK_FALSE(house.cycle().report.generation);
  house.config.schedule.full = config::Seconds(0);
  house.configure();
  house.log.take();
  house.corp().put("eve");  // just now: nobody missed it
  const auto outcome = house.cycle();
  CHECK(outcome.report.generation->added == 2);
  CHECK(outcome.report.generation->removed == 1);
  const auto events = house.log.take();
  CHECK(says(events, Priority::error,
             "source corp: incremental reads missed 2 objects: cn=cyd; cn=dan."));
  CHECK_FALSE(says(events, Priority::error, "source other"));

  house.corp().put("fay");  // the read before was full: there are no increments to blame
  house.corp().unseen_by_increments = {"fay"};
  house.cycle();
  CHECK_FALSE(says(house.log.take(), Priority::error, "missed"));
}

TEST_CASE("a deletion that the account may not see was not missed") {
  House house;
  house.cycle();
  house.corp().deletions_unseen = true;
  house.corp().unseen_by_increments = {"ada", "dan"};
  house.corp().remove("ada");
  house.cycle();
  house.config.schedule.full = config::Seconds(0);
  house.configure();
  house.log.take();
  SECTION("alone it is no error") {
    CHECK(house.cycle().report.generation->removed == 1);
    CHECK_FALSE(says(house.log.take(), Priority::error, "missed"));
  }
  SECTION("beside something else it is not named") {
    house.corp().put("dan");
    CHECK(house.cycle().report.generation->added == 1);
    CHECK(says(house.log.take(), Priority::error, "missed 1 object: cn=dan."));
  }
}

TEST_CASE("a warning is told once, and again when it comes back") {
  House house;
  const auto told = [&](std::vector<std::string> warnings) {
    house.corp().warnings = std::move(warnings);
    house.cycle();
    std::size_t count = 0;
    for (const auto& event : house.log.take()) count += event.priority == Priority::warning;
    return count;
  };
  CHECK(told({"dc1 does not answer"}) == 1);
  CHECK(told({"dc1 does not answer"}) == 0);
  CHECK(told({"dc1 does not answer", "dc3 neither"}) == 1);
  CHECK(told({}) == 0);
  CHECK(told({"dc3 neither", "dc1 does not answer"}) == 2);
}

TEST_CASE("a cycle that is stopped while it reads believes and says nothing") {
  House house;
  house.cycle();
  house.log.take();
  std::stop_source stop;
  house.corp().during_read = [&](std::stop_token) { stop.request_stop(); };
  house.corp().put("cyd");
  CycleRequest request;
  request.occasion = Occasion::resync;
  CHECK_FALSE(house.cycle(std::move(request), stop.get_token()).report.generation);
  CHECK(house.log.take().empty());
  house.corp().during_read = [](std::stop_token) {};
  CHECK(house.cycle().report.generation->added == 1);
}

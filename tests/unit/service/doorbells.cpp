#include "service/doorbells.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace std::chrono_literals;

namespace {

/// A source whose watch does what the test says, one call after the other.
class FakeWatch final : public source::Source {
 public:
  Result<source::Complete> read(const source::ReadRequest&, recipient::ObjectSink&,
                                std::stop_token) override {
    return Error{Errc::internal, "not read here"};
  }
  [[nodiscard]] bool can_watch() const override { return true; }

  Result<> watch(const source::WatchRequest& request, const std::function<void()>& ring,
                 std::stop_token stop) override {
    {
      const std::lock_guard lock(mutex_);
      cookies.push_back(request.cookie);
    }
    if (calls_to_listen) request.listening();
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      if (!changed_.wait(lock, stop, [&] { return rings_ > 0 || end_; })) break;
      if (end_) return *std::exchange(end_, {});
      for (; rings_ > 0; --rings_) ring();
      changed_.notify_all();
    }
    return Error{Errc::cancelled, "stopped"};
  }

  void ring(int times = 1) {
    const std::lock_guard lock(mutex_);
    rings_ += times;
    changed_.notify_all();
  }
  void all_rung() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return rings_ == 0; });
  }
  void end(Error with) {
    const std::lock_guard lock(mutex_);
    end_ = std::move(with);
    changed_.notify_all();
  }
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex_);
    return cookies;
  }

  bool calls_to_listen = true;
  std::vector<std::string> cookies;

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int rings_ = 0;
  std::optional<Error> end_;
};

class Log final : public EventSink {
 public:
  void emit(const Event& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
  }
  std::size_t count(Priority priority) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(
        events_.begin(), events_.end(), [&](const Event& e) { return e.priority == priority; }));
  }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
};

struct House {
  boost::asio::io_context io{1};
  Log log;
  std::vector<std::string> rang;
  std::vector<WatchState> states;
  std::shared_ptr<FakeWatch> watch = std::make_shared<FakeWatch>();
  std::optional<Doorbells> bells{
      std::in_place, io, log,
      Doorbells::Callbacks{
          [this](const std::string& name) { rang.push_back(name); },
          [this](const std::string&, WatchState state) { states.push_back(state); }}};

  template <class Condition>
  bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(5ms);
    }
    return condition();
  }
  bool reaches(WatchState state) {
    return until([&] { return !states.empty() && states.back() == state; });
  }
};

}  // namespace

TEST_CASE("a bell is watched from the first complete read on, from its cookie") {
  House house;
  house.bells->add("corp", house.watch);
  house.io.run_for(50ms);
  CHECK(house.watch->seen().empty());
  CHECK(house.states == std::vector<WatchState>{WatchState::connecting});
  house.bells->note("corp", {"c1", "dc1", {}});
  CHECK(house.reaches(WatchState::connected));
  CHECK(house.watch->seen() == std::vector<std::string>{"c1"});
  CHECK(house.rang.empty());
  house.bells->note("nobody", {"c1", "dc1", {}});
}

TEST_CASE("rings are told, and many before one is served are one") {
  House house;
  house.watch->calls_to_listen = GENERATE(true, false);
  house.bells->add("corp", house.watch);
  house.bells->note("corp", {"c1", "dc1", {}});
  house.watch->ring();
  CHECK(house.until([&] { return house.rang.size() == 1; }));
  CHECK(house.reaches(WatchState::connected));
  house.watch->ring(1000);
  house.watch->all_rung();
  CHECK(house.until([&] { return house.rang.size() >= 2; }));
  house.io.restart();
  house.io.run_for(20ms);
  CHECK(house.rang.size() == 2);
}

TEST_CASE(
    "a lost watch comes back from the latest cookie, is told once, and rings for what it missed") {
  House house;
  house.bells->add("corp", house.watch);
  house.bells->note("corp", {"c1", "dc1", {}});
  REQUIRE(house.reaches(WatchState::connected));
  house.bells->note("corp", {"c2", "dc1", {}});
  house.watch->end({Errc::unreachable, "dc1: gone"});
  REQUIRE(house.reaches(WatchState::lost));
  CHECK(house.log.count(Priority::warning) == 1);
  REQUIRE(house.reaches(WatchState::connected));
  CHECK(house.watch->seen() == std::vector<std::string>{"c1", "c2"});
  CHECK(house.until([&] { return house.rang.size() == 1; }));
  CHECK(house.log.count(Priority::notice) == 1);
}

TEST_CASE("a server that cannot is asked once") {
  House house;
  house.bells->add("corp", house.watch);
  house.bells->note("corp", {"c1", "dc1", {}});
  house.watch->end({Errc::invalid, "dc1: no such control"});
  REQUIRE(house.reaches(WatchState::unable));
  CHECK(house.log.count(Priority::info) == 1);
  house.bells->note("corp", {"c2", "dc1", {}});
  house.io.restart();
  house.io.run_for(50ms);
  CHECK(house.watch->seen().size() == 1);
}

TEST_CASE("bells that were taken down are silent, and end at once") {
  House house;
  house.bells->add("corp", house.watch);
  house.bells->note("corp", {"c1", "dc1", {}});
  REQUIRE(house.reaches(WatchState::connected));
  house.watch->ring();
  const auto before = std::chrono::steady_clock::now();
  if (GENERATE(true, false))
    house.bells->clear();
  else
    house.bells.reset();
  CHECK(std::chrono::steady_clock::now() - before < 30s);
  house.io.restart();
  house.io.run_for(20ms);
  CHECK(house.rang.empty());
  house.bells.reset();
  CHECK(house.watch.use_count() == 1);
  CHECK(house.log.count(Priority::warning) == 0);
}

TEST_CASE("the backoff doubles from a second to a minute") {
  SeededRandom random(1);
  for (const auto& [failures, most] : {std::pair{0U, 1000},
                                       {1U, 1000},
                                       {2U, 2000},
                                       {3U, 4000},
                                       {6U, 32000},
                                       {7U, 60000},
                                       {8U, 60000},
                                       {4000000000U, 60000}})
    for (int i = 0; i < 100; ++i) {
      const auto wait = watch_backoff(failures, random).count();
      CHECK(wait <= most);
      CHECK(wait >= most / 2);
    }
}

TEST_CASE("the states of a watch have names") {
  for (const auto state : {WatchState::none, WatchState::connecting, WatchState::connected,
                           WatchState::lost, WatchState::unable})
    CHECK(watch_state_of(to_string(state)) == state);
  CHECK(watch_state_of("whatever") == WatchState::none);
}

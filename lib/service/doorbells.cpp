#include "service/doorbells.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/time.hpp"

namespace rcptsync::service {

using namespace std::chrono_literals;

namespace {

constexpr std::array state_names{std::pair{WatchState::connecting, std::string_view("connecting")},
                                 std::pair{WatchState::connected, std::string_view("connected")},
                                 std::pair{WatchState::lost, std::string_view("lost")},
                                 std::pair{WatchState::unable, std::string_view("unable")}};

// A watch that stood so long was no false start: the next loss is tried again soon.
constexpr auto steady_watch = 1min;

}  // namespace

std::string_view to_string(WatchState state) {
  for (const auto& [value, name] : state_names)
    if (value == state) return name;
  return {};
}

WatchState watch_state_of(std::string_view text) {
  for (const auto& [value, name] : state_names)
    if (name == text) return value;
  return WatchState::none;
}

std::chrono::milliseconds watch_backoff(unsigned failures, Random& random) {
  const auto doubled = 1000ms * (1U << std::clamp(failures, 1U, 7U) >> 1U);
  const auto longest = std::min<std::chrono::milliseconds>(doubled, 1min);
  return std::chrono::duration_cast<std::chrono::milliseconds>(longest *
                                                               (0.5 + 0.5 * random.fraction()));
}

struct Doorbells::Bell {
  std::string name;
  std::shared_ptr<source::Source> source;

  bool up = true;                   ///< only on the io thread: not taken down
  std::atomic<bool> rung = false;   ///< a ring is on its way to the io thread
  std::atomic<bool> ended = false;  ///< its thread has nothing left to do

  std::mutex mutex;
  std::condition_variable_any noted;
  std::optional<source::WatchRequest> known;  ///< under the mutex

  std::jthread thread;  ///< last: it uses all of the above
};

Doorbells::Doorbells(boost::asio::io_context& io, EventSink& sink, Callbacks callbacks)
    : io_(io), sink_(sink), callbacks_(std::move(callbacks)) {}

Doorbells::~Doorbells() {
  clear();
  for (const auto& bell : ending_) bell->thread.join();
}

void Doorbells::add(const std::string& name, std::shared_ptr<source::Source> source) {
  auto bell = std::make_shared<Bell>();
  bell->name = name;
  bell->source = std::move(source);
  // The thread holds no share: the last one would make it wait for itself.
  const std::weak_ptr<Bell> weak = bell;
  bell->thread = std::jthread([this, weak, &here = *bell](const std::stop_token& stop) {
    run(stop, weak, here);
    here.ended = true;
  });
  bells_[name] = std::move(bell);
  callbacks_.changed(name, WatchState::connecting);
}

void Doorbells::note(const std::string& name, const source::WatchRequest& request) {
  const auto found = bells_.find(name);
  if (found == bells_.end()) return;
  {
    const std::lock_guard lock(found->second->mutex);
    found->second->known = request;
  }
  found->second->noted.notify_one();
}

void Doorbells::clear() {
  std::erase_if(ending_, [](const auto& bell) {
    if (!bell->ended) return false;
    bell->thread.join();
    return true;
  });
  for (auto& [name, bell] : bells_) {
    bell->up = false;
    bell->thread.request_stop();
    ending_.push_back(std::move(bell));
  }
  bells_.clear();
}

void Doorbells::run(const std::stop_token& stop, const std::weak_ptr<Bell>& weak, Bell& bell) {
  bool lost = false;
  unsigned failures = 0;
  for (;;) {
    source::WatchRequest request;
    {
      std::unique_lock lock(bell.mutex);
      if (!bell.noted.wait(lock, stop, [&] { return bell.known.has_value(); })) return;
      request = *bell.known;
    }
    std::optional<SteadyTime> standing;
    const auto stands = [&] {
      if (standing || stop.stop_requested()) return;
      standing = system_clock().steady();
      if (lost) {
        sink_.emit({EventKind::diagnostic, Priority::notice,
                    fmt::format("source {} tells of changes again", bell.name), bell.name});
        ring(weak, bell);  // of what may have been missed
      }
      lost = false;
      tell(weak, WatchState::connected);
    };
    request.listening = stands;
    const auto ended = bell.source->watch(
        request,
        [&] {
          stands();
          ring(weak, bell);
        },
        stop);
    if (stop.stop_requested()) return;
    const auto why = ended ? std::string("the watch ended") : ended.error().message;
    if (!ended && ended.error().code == Errc::invalid) {
      sink_.emit({EventKind::diagnostic, Priority::info,
                  fmt::format("source {} cannot tell of changes, it is read when the schedule says "
                              "so: {}",
                              bell.name, why),
                  bell.name});
      tell(weak, WatchState::unable);
      return;
    }
    if (!lost) {
      Event event{EventKind::diagnostic, Priority::warning,
                  fmt::format("source {} does not tell of changes, it is read when the schedule "
                              "says so, and asked again: {}",
                              bell.name, why),
                  bell.name};
      event.error = why;
      sink_.emit(event);
      tell(weak, WatchState::lost);
    }
    lost = true;
    failures = standing && system_clock().steady() - *standing >= steady_watch ? 1 : failures + 1;
    std::unique_lock lock(bell.mutex);
    bell.noted.wait_for(lock, stop, watch_backoff(failures, system_random()), [] { return false; });
    if (stop.stop_requested()) return;
  }
}

void Doorbells::ring(const std::weak_ptr<Bell>& weak, Bell& bell) {
  if (bell.rung.exchange(true)) return;
  boost::asio::post(io_, [this, weak] {
    const auto here = weak.lock();
    if (!here) return;
    here->rung = false;
    if (here->up) callbacks_.rang(here->name);
  });
}

void Doorbells::tell(const std::weak_ptr<Bell>& weak, WatchState state) {
  boost::asio::post(io_, [this, weak, state] {
    if (const auto bell = weak.lock(); bell && bell->up) callbacks_.changed(bell->name, state);
  });
}

}  // namespace rcptsync::service

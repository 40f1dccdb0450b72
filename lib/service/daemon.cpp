#include "service/daemon.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <ctime>
#include <optional>

#include "base/plural.hpp"
#include "config/load.hpp"
#include "service/engine.hpp"
#include "service/startup.hpp"
#include "sync/schedule.hpp"

namespace rcptsync::service {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// The first ring is answered at once, those that follow at most so often.
constexpr auto ring_interval = 1s;
/// What rang and could not be read is tried again after so long, doubling.
constexpr auto ring_retry = std::chrono::seconds(5);
constexpr auto longest_ring_retry = std::chrono::seconds(300);

void rethrow(std::exception_ptr failure) {
  if (failure) std::rethrow_exception(failure);
}

/// The life of the daemon. One coroutine runs the cycles; the others turn signals into requests
/// that it sees between two of them.
class Daemon {
 public:
  Daemon(Startup startup, EventSink& sink, journal::Notifier& notifier)
      : config_(std::move(startup.config)),
        sink_(sink),
        notifier_(notifier),
        engine_(io_, std::move(startup.store), sink) {}

  ExitCode run() {
    if (auto configured = engine_.configure(config_); !configured) {
      sink_.emit({EventKind::diagnostic, Priority::error, configured.error().message});
      return exit_failed;
    }
    sink_.emit({EventKind::started, Priority::notice,
                fmt::format("rcptsyncd {} started with {} and {}", RCPTSYNC_VERSION,
                            counted(config_->sources.size(), "source"),
                            counted(config_->targets.size(), "target"))});
    notifier_.ready();
    asio::co_spawn(io_, watch_stop(), rethrow);
    asio::co_spawn(io_, watch_requests(), rethrow);
    asio::co_spawn(io_, feed_watchdog(), rethrow);
    asio::co_spawn(io_, poll(), rethrow);
    io_.run();
    return exit_ok;
  }

 private:
  // ---- polls
  // ----------------------------------------------------------------------------------------------------

  /// A moment by both clocks. It has passed when the wall clock says so, or when as much time has
  /// passed as there was until it, because the wall clock may be set back.
  struct Moment {
    WallTime wall{};
    SteadyTime steady{};
  };
  static Moment moment() { return {system_clock().wall(), system_clock().steady()}; }
  static Moment moment_at(WallTime wall) {
    const auto now = moment();
    return {wall, now.steady + std::chrono::duration_cast<SteadyTime::duration>(
                                   std::max<WallTime::duration>(wall - now.wall, 0s))};
  }
  static bool passed(const Moment& due) {
    const auto now = moment();
    return now.wall >= due.wall || now.steady >= due.steady;
  }

  asio::awaitable<void> poll() {
    engine_.watch_sources([this] { wake_.cancel(); });
    CycleRequest request;
    request.cause = store::Cause::start;
    Moment next;
    for (;;) {
      const auto occasion = request.occasion;
      const auto began = moment();
      notifier_.status("reading sources");
      reading_ = std::stop_source();
      if (stopping()) co_return;
      const auto outcome = co_await engine_.cycle(std::move(request), reading_.get_token());
      if (stopping()) co_return;
      if (occasion == Occasion::ring) {
        // One that had to be read in full is not read without a break while it changes.
        const auto ended = system_clock().steady();
        next_ring_ = std::max(began.steady + ring_interval, ended + (ended - began.steady));
        if (outcome.sources_failed) {
          next_ring_ = std::max(next_ring_, ended + ring_retry_);
          ring_retry_ = std::min(2 * ring_retry_, longest_ring_retry);
        } else {
          ring_retry_ = ring_retry;
        }
      } else {
        // Rings do not move the schedule: it is there for what they miss.
        next = moment_at(sync::next_poll(config_->schedule, began.wall, system_random()));
        engine_.next_poll(next.wall);
      }
      notifier_.status(engine_.summary());

      co_await sleep_until(next);
      request = next_request(next);
      if (request.occasion == Occasion::resync && !stopping()) reload();
    }
  }

  CycleRequest next_request(const Moment& poll_due) {
    CycleRequest request;
    if (std::exchange(resync_asked_, false)) {
      request.cause = store::Cause::resync;
      request.occasion = Occasion::resync;
      request.force = true;
    } else if (std::exchange(poll_asked_, false)) {
      request.cause = store::Cause::poll;
    } else if (!passed(poll_due)) {
      request.cause = store::Cause::notification;
      request.occasion = Occasion::ring;
    }
    // Whatever rang until now is read in this cycle.
    request.sources = engine_.take_rung();
    return request;
  }

  // Until the moment, or until somebody asks for a cycle: in steps of at most a minute, because the
  // wall clock may jump ahead.
  asio::awaitable<void> sleep_until(Moment poll_due) {
    while (!resync_asked_ && !poll_asked_ && !stopping() && !passed(poll_due)) {
      auto left = std::min<SteadyTime::duration>(poll_due.wall - system_clock().wall(),
                                                 poll_due.steady - system_clock().steady());
      if (!engine_.rung().empty()) {
        const auto ring_left = next_ring_ - system_clock().steady();
        if (ring_left <= 0s) co_return;
        left = std::min(left, ring_left);
      }
      wake_.expires_after(std::min<SteadyTime::duration>(left, 60s));
      boost::system::error_code ignored;
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  // A configuration with faults changes nothing; the resync that SIGHUP asked for happens all the
  // same.
  void reload() {
    notifier_.reloading();
    ::tzset();  // cron expressions follow the zone that the machine has now
    auto loaded = config::load(config_->file);
    if (loaded.usable() && loaded.config.state_dir != config_->state_dir)
      loaded.faults.push_back({config_->file, 0, "state_dir",
                               "cannot change while the daemon runs: restart it", false});
    for (const auto& fault : loaded.faults) {
      if (fault.warning)
        sink_.emit({EventKind::diagnostic, Priority::warning, fault.text()});
      else
        refuse(fault.text());
    }
    if (loaded.usable()) {
      auto config = std::make_shared<const config::Config>(std::move(loaded.config));
      if (auto configured = engine_.configure(config); !configured) {
        refuse(configured.error().message);
      } else {
        config_ = std::move(config);
        sink_.emit({EventKind::reloaded, Priority::notice,
                    fmt::format("configuration read again: {}, {}; reading all, pushing to all",
                                counted(config_->sources.size(), "source"),
                                counted(config_->targets.size(), "target"))});
      }
    }
    notifier_.ready();
  }

  void refuse(const std::string& why) {
    sink_.emit(failure(EventKind::reload_refused, "the old configuration stays: " + why, why));
  }

  // ---- signals
  // --------------------------------------------------------------------------------------------------

  asio::awaitable<void> watch_requests() {
    for (;;) {
      boost::system::error_code error;
      const int signal =
          co_await requests_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      (signal == SIGHUP ? resync_asked_ : poll_asked_) = true;
      // What is being read now is read again, by the new configuration and in full: a directory
      // that hangs does not delay that.
      if (signal == SIGHUP) reading_.request_stop();
      wake_.cancel();
    }
  }

  asio::awaitable<void> watch_stop() {
    boost::system::error_code error;
    co_await stops_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    notifier_.stopping();
    sink_.emit({EventKind::stopping, Priority::notice, "stopping"});
    stop_.request_stop();
    reading_.request_stop();
    engine_.stop_watching();
    requests_.cancel();
    watchdog_.cancel();
    wake_.cancel();

    // Most of the time goes to transfers in flight. What is not done at the end is left to crash
    // recovery, which every part of the state and of a target is built for.
    const std::chrono::milliseconds limit = config_->stop_timeout;
    std::thread([limit] {
      std::this_thread::sleep_for(limit);
      ::_exit(exit_ok);
    }).detach();
    engine_.fleet().stop(limit * 7 / 10);
    engine_.reporter().stop(limit);
  }

  asio::awaitable<void> feed_watchdog() {
    const auto interval = notifier_.watchdog_interval();
    while (interval && !stopping()) {
      notifier_.watchdog();
      watchdog_.expires_after(*interval);
      boost::system::error_code ignored;
      co_await watchdog_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  [[nodiscard]] bool stopping() const { return stop_.stop_requested(); }

  asio::io_context io_{1};
  std::shared_ptr<const config::Config> config_;
  EventSink& sink_;
  journal::Notifier& notifier_;
  asio::signal_set stops_{io_, SIGTERM, SIGINT};
  asio::signal_set requests_{io_, SIGHUP, SIGUSR1};
  asio::steady_timer wake_{io_}, watchdog_{io_};
  std::stop_source stop_;
  std::stop_source reading_;  ///< ends the reads of the cycle that runs
  SteadyTime next_ring_{};    ///< before that no doorbell starts a cycle
  std::chrono::seconds ring_retry_ = ring_retry;
  bool resync_asked_ = false, poll_asked_ = false;
  Engine engine_;
};

/// Keeps SIGHUP and SIGUSR1 waiting as long as it lives: until somebody listens they would end the
/// process, and to open a large state takes a while.
class RequestsWait {
 public:
  RequestsWait() {
    sigset_t requests;
    ::sigemptyset(&requests);
    ::sigaddset(&requests, SIGHUP);
    ::sigaddset(&requests, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &requests, &before_);
  }
  RequestsWait(const RequestsWait&) = delete;
  RequestsWait& operator=(const RequestsWait&) = delete;
  ~RequestsWait() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

ExitCode run_daemon(const std::filesystem::path& config_file, EventSink& sink,
                    journal::Notifier& notifier) {
  ::tzset();
  std::optional<RequestsWait> requests_wait(std::in_place);
  auto startup = start_owner(config_file, sink);
  if (startup.code != exit_ok) return startup.code;
  Daemon daemon(std::move(startup), sink, notifier);
  requests_wait.reset();
  return daemon.run();
}

}  // namespace rcptsync::service

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

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "config/load.hpp"
#include "service/control.hpp"
#include "service/engine.hpp"
#include "service/offload.hpp"
#include "service/orders.hpp"
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
        store_(*startup.store),
        engine_(io_, std::move(startup.store), sink),
        control_(store_, [this] {
          asio::post(io_, [this] { asio::co_spawn(io_, take_orders(), rethrow); });
        }) {}

  ExitCode run() {
    if (auto configured = engine_.configure(config_); !configured) {
      sink_.emit({EventKind::diagnostic, Priority::error, configured.error().message});
      return exit_failed;
    }
    sink_.emit({EventKind::started, Priority::notice,
                fmt::format("rcptsyncd {} started with {} and {}", RCPTSYNC_VERSION,
                            counted(config_->sources.size(), "source"),
                            counted(config_->targets.size(), "target"))});
    control_.configure(config_);
    if (auto opened = control_.open(control_socket(config_->state_dir)); !opened)
      sink_.emit({EventKind::diagnostic, Priority::warning,
                  opened.error().message + "; only root and the account that owns the state can "
                                           "use rcptsyncctl"});
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
    co_await take_orders();
    co_await carry_out_orders();
    CycleRequest request;
    request.cause = store::Cause::start;
    polling_ = std::exchange(poll_orders_, {});
    poll_asked_ = false;
    Moment next;
    for (;;) {
      const auto occasion = request.occasion;
      const auto began = moment();
      notifier_.status("reading sources");
      reading_ = std::stop_source();
      if (stopping()) co_return;
      const auto outcome = co_await engine_.cycle(CycleRequest(request), reading_.get_token());
      if (stopping()) co_return;
      if (outcome.stopped) {
        // An operator's word or a new configuration came first; then it is read again.
        co_await carry_out_orders();
        if (!resync_asked_) continue;
        request = next_request(next);
        reload();
        continue;
      }
      if (occasion != Occasion::ring) {
        first_cycle_done_ = true;
        co_await answer_polls(outcome);
        for (auto& order : std::exchange(push_orders_, {}))
          asio::co_spawn(io_, carry_out_push(std::move(order)), rethrow);
      }
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
      for (; !state_orders_.empty() && !stopping(); co_await sleep_until(next))
        co_await carry_out_orders();
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
      polling_.insert(polling_.end(), resync_orders_.begin(), resync_orders_.end());
      resync_orders_.clear();
    } else if (std::exchange(poll_asked_, false)) {
      request.cause = store::Cause::poll;
    } else if (!passed(poll_due)) {
      request.cause = store::Cause::notification;
      request.occasion = Occasion::ring;
    }
    if (request.occasion != Occasion::ring) {
      polling_.insert(polling_.end(), poll_orders_.begin(), poll_orders_.end());
      poll_orders_.clear();
    }
    // Whatever rang until now is read in this cycle.
    request.sources = engine_.take_rung();
    return request;
  }

  // Until the moment, or until somebody asks for a cycle: in steps of at most a minute, because the
  // wall clock may jump ahead.
  asio::awaitable<void> sleep_until(Moment poll_due) {
    while (!resync_asked_ && !poll_asked_ && state_orders_.empty() && !stopping() &&
           !passed(poll_due)) {
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
      // Somebody may have saved one and not reached us, and one that failed is tried again.
      if (!ignored) co_await take_orders();
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
        control_.configure(config_);
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

  // ---- orders
  // ---------------------------------------------------------------------------------------------------

  /// An order that ends with a cycle, and what there is to say of it already.
  struct Waiting {
    std::string id;
    std::string said;
  };

  // Finds those that were saved since the last time.
  asio::awaitable<void> take_orders() {
    std::vector<std::string> damaged;
    const auto state_dir = config_->state_dir;
    auto load = [&] { return load_orders(state_dir, &damaged); };
    auto orders = co_await offload(desk_, load);
    if (stopping()) co_return;
    for (const auto& file : damaged)
      sink_.emit({EventKind::diagnostic, Priority::error,
                  fmt::format("an order is damaged and not carried out: {}", escape(file, 1000))});
    if (!orders) {
      sink_.emit({EventKind::diagnostic, Priority::error, orders.error().message});
      co_return;
    }
    for (auto& order : *orders)
      if (taken_.insert(order.id).second) take(std::move(order));
    wake_.cancel();
  }

  void take(Order order) {
    switch (order.kind) {
      case Order::Kind::approve:
        if (!order.target.empty()) {
          asio::co_spawn(io_, carry_out_first_table(std::move(order)), rethrow);
          return;
        }
        break;
      case Order::Kind::reject:
      case Order::Kind::rollback:
      case Order::Kind::resync:
        break;
      case Order::Kind::poll:
        poll_orders_.push_back({order.id, {}});
        poll_asked_ = true;
        return;
      case Order::Kind::push:
        if (first_cycle_done_)
          asio::co_spawn(io_, carry_out_push(std::move(order)), rethrow);
        else
          push_orders_.push_back(std::move(order));
        return;
      case Order::Kind::verify:
        asio::co_spawn(io_,
                       finish(order.id, {exit_failed, "verify changes nothing and is no order"}),
                       rethrow);
        return;
    }
    state_orders_.push_back(std::move(order));
    // It does not wait for a directory that hangs: what is being read is read again afterwards.
    reading_.request_stop();
  }

  // Those that concern the state, also those that come meanwhile: none waits for what is read next.
  asio::awaitable<void> carry_out_orders() {
    while (!state_orders_.empty() && !stopping()) co_await carry_out_some();
  }

  // In a cycle of their own that reads no source.
  asio::awaitable<void> carry_out_some() {
    CycleRequest request;
    request.cause = store::Cause::approval;
    request.occasion = Occasion::order;
    request.orders = std::exchange(state_orders_, {});
    const auto orders = request.orders;
    reading_ = std::stop_source();
    const auto outcome = co_await engine_.cycle(std::move(request), reading_.get_token());
    if (outcome.stopped) {
      // Another one came in that very moment.
      state_orders_.insert(state_orders_.begin(), orders.begin(), orders.end());
      co_return;
    }
    for (std::size_t i = 0; i < orders.size(); ++i) {
      const auto& order = orders[i];
      if (!outcome.committed || i >= outcome.report.orders.size()) {
        taken_.erase(order.id);
        control_.carried_out(order.id, {exit_failed,
                                        "the state cannot be written, the log says why; the order "
                                        "is kept and tried again"});
        continue;
      }
      const auto& result = outcome.report.orders[i];
      if (order.kind == Order::Kind::resync && result.ok) {
        co_await leave_a_poll(order);
        resync_orders_.push_back({order.id, result.message});
        resync_asked_ = true;
        continue;
      }
      OrderAnswer answer{result.ok ? exit_ok : exit_failed, result.message};
      co_await finish(order.id, std::move(answer));
    }
    notifier_.status(engine_.summary());
  }

  // Of a resync only the reads are left. Killed during those, it must not be carried out again: it
  // would end the pin of a rollback that came after it.
  asio::awaitable<void> leave_a_poll(Order order) {
    order.kind = Order::Kind::poll;
    const auto state_dir = config_->state_dir;
    auto replace = [&] {
      const auto saved = save_order(state_dir, order);
      // Where nothing can be written it may be removed: every start reads all sources.
      return saved ? saved : remove_order(state_dir, order.id);
    };
    if (const auto replaced = co_await offload(desk_, replace); !replaced)
      sink_.emit({EventKind::diagnostic, Priority::error, replaced.error().message});
  }

  asio::awaitable<void> carry_out_first_table(Order order) {
    const auto approved = co_await engine_.fleet().approve(order.target, order.digest);
    const auto said = approved ? *approved : approved.error().message;
    Event event{approved ? EventKind::change_approved : EventKind::diagnostic,
                approved ? Priority::notice : Priority::warning,
                fmt::format("approve by {}: {}", escape(order.by), said)};
    event.target = order.target;
    event.digest = order.digest.hex();
    sink_.emit(event);
    OrderAnswer answer{approved ? exit_ok : exit_failed, said};
    co_await finish(order.id, std::move(answer));
  }

  asio::awaitable<void> carry_out_push(Order order) {
    const auto names = engine_.fleet().hurry(order.targets);
    co_await engine_.fleet().settled(names);
    // One that is not finished is found at the next start.
    if (stopping()) co_return;
    OrderAnswer answer;
    for (const auto& target : engine_.fleet().standing(names)) {
      std::string line = fmt::format("{}: {}", target.name, sync::to_string(target.state));
      if (target.state == sync::TargetState::current)
        line += fmt::format(", generation {}", target.generation);
      else if (!target.last_error.empty())
        line += ": " + target.last_error;
      answer.message += (answer.message.empty() ? "" : "\n") + line;
      if (target.state == sync::TargetState::failing)
        answer.code = exit_failed;
      else if (target.state == sync::TargetState::held && answer.code == exit_ok)
        answer.code = exit_held;
    }
    if (names.empty()) answer.message = "every target is current";
    co_await finish(order.id, std::move(answer));
  }

  // What a poll or a resync has brought, to those who asked for it.
  asio::awaitable<void> answer_polls(const CycleOutcome& outcome) {
    const auto& report = outcome.report;
    OrderAnswer answer;
    if (outcome.sources_failed) {
      answer = {exit_failed,
                "not everything could be read or written; `rcptsyncctl status` says what"};
    } else if (report.generation) {
      answer.message = fmt::format("generation {} is in force: {} added, {} removed, {} changed",
                                   report.generation->number, report.generation->added,
                                   report.generation->removed, report.generation->changed);
    } else {
      answer.message = fmt::format("nothing changed, {}", counted(report.accepted, "recipient"));
    }
    if (report.hold && !outcome.sources_failed) {
      answer.code = exit_held;
      answer.message += fmt::format("; held: {}", report.hold->reason);
    }
    for (auto& waiting : std::exchange(polling_, {})) {
      auto one = answer;
      if (!waiting.said.empty()) one.message = waiting.said + "; " + one.message;
      co_await finish(waiting.id, std::move(one));
    }
  }

  // The file goes when the order was carried out and not before: killed in between, it is carried
  // out again.
  asio::awaitable<void> finish(std::string id, OrderAnswer answer) {
    const auto state_dir = config_->state_dir;
    auto remove = [&] { return remove_order(state_dir, id); };
    const auto removed = co_await offload(desk_, remove);
    if (removed)
      taken_.erase(id);
    else  // It stays among those that were taken: once is enough for this life.
      sink_.emit({EventKind::diagnostic, Priority::error, removed.error().message});
    control_.carried_out(id, std::move(answer));
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

  std::set<std::string> taken_;  ///< orders that were seen and are not finished
  std::vector<Order> state_orders_;
  std::vector<Order> push_orders_;      ///< until there is something that can be pushed
  std::vector<Waiting> poll_orders_;    ///< for the next poll
  std::vector<Waiting> resync_orders_;  ///< for the next resync
  std::vector<Waiting> polling_;        ///< end with the cycle that runs
  bool first_cycle_done_ = false;
  asio::thread_pool desk_{1};  ///< reads and removes the files of orders
  store::Store& store_;
  Engine engine_;
  Control control_;
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

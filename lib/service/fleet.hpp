// fleet — every target with its machine: starts pushes, carries out retries, remembers how each
// went.
//
// Runs on one io_context thread. Blocking work (the store, making tables) goes to the worker pool.
// Each target has at most one push at a time; a target that hangs costs its own deadline and nobody
// else's.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/event.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "push/push.hpp"
#include "service/runtime.hpp"
#include "service/target_tables.hpp"
#include "store/store.hpp"
#include "sync/target_machine.hpp"

namespace rcptsync::service {

class Fleet {
 public:
  /// `changed` is called whenever a push starts or ends, for the status file.
  Fleet(boost::asio::io_context& io, boost::asio::thread_pool& worker, store::Store& store,
        EventSink& sink, std::function<void()> changed);

  /// Takes over the targets of a configuration: new ones are added, those that are gone end with
  /// their running push, changed ones are pushed with the new settings from the next push on.
  /// `unproven`: targets whose last push was not seen to end, for example because the daemon was
  /// killed. Nothing that is remembered of them is believed before they were looked at.
  Result<> configure(std::shared_ptr<const config::Config> config,
                     const std::set<std::string>& unproven);

  /// Makes the digest of the generation in force known, to the store too. If a target gets the
  /// whole table it is made now, and pushes that begin at once find it made.
  boost::asio::awaitable<Result<Digest>> complete(std::uint64_t generation);

  /// The generation is in force. `force`: push to every target, whatever it is believed to hold.
  void desire(std::uint64_t generation, bool force);

  /// What an operator sees of a target.
  struct Standing {
    std::string name;
    sync::TargetState state = sync::TargetState::behind;
    std::uint64_t generation = 0;  ///< that it is believed to hold
    std::string last_error;
  };
  /// Pushes now: to all enabled targets that are not current, or to the named ones even if they
  /// are. Their names.
  std::set<std::string> hurry(const std::vector<std::string>& names);
  /// Waits until no push to any of these runs or is due now.
  boost::asio::awaitable<void> settled(std::set<std::string> names);
  [[nodiscard]] std::vector<Standing> standing(const std::set<std::string>& names) const;

  /// Lets the first table of a target through that is held with this digest, and pushes. What
  /// there is to say, or Errc::not_found if that is not what is held there.
  boost::asio::awaitable<Result<std::string>> approve(std::string target, Digest hold);

  /// Waits until no push runs or is due now. Retries that wait for their time do not count.
  boost::asio::awaitable<void> idle();

  /// No new pushes. Those that run may end until `patience` is over, then they are abandoned.
  void stop(std::chrono::milliseconds patience);

  [[nodiscard]] std::set<std::string> pushing() const;
  /// How far the pushes are that run.
  [[nodiscard]] std::map<std::string, PushProgress> progress() const;
  /// Targets whose last push was not seen to end, or not noted in the store.
  [[nodiscard]] const std::set<std::string>& unproven() const { return unproven_; }
  /// True if an enabled target's last push failed.
  [[nodiscard]] bool any_failing() const;
  /// True if a target's first table is held.
  [[nodiscard]] bool any_held() const;

 private:
  struct Run {
    std::shared_ptr<const config::Config> config;
    const config::Target* target = nullptr;
    sync::TargetMachine machine;
    store::TargetRecord record;
    boost::asio::steady_timer timer;
    boost::asio::cancellation_signal cancel;
    bool pushing = false;
    bool gone = false;           ///< no longer configured
    PushProgress progress = {};  ///< of the push that runs
  };
  using RunPtr = std::shared_ptr<Run>;

  static recipient::TableSettings settings_of(const Run& run);
  void act(const RunPtr& run, sync::TargetMachine::Action action);
  void start_queued();
  boost::asio::awaitable<void> carry_out(RunPtr run, sync::TargetMachine::Desired desired);
  boost::asio::awaitable<Result<push::Outcome>> push_tables(
      Run& run, std::shared_ptr<const TargetTables>& tables, bool force);
  boost::asio::awaitable<bool> remember(Run& run);
  /// A push that went well while the configuration was read again: whoever has the target now
  /// knows what it holds, or would take that for a table that nobody pushed.
  boost::asio::awaitable<void> hand_over(const Run& run);
  /// What a target was like before a push: only what is new is told as news.
  struct Before {
    bool failing = false;
    std::optional<Digest> hold;
  };
  void tell(const Run& run, const Result<push::Outcome>& outcome, const TargetTables* tables,
            std::chrono::microseconds duration, const Before& before);

  boost::asio::io_context& io_;
  boost::asio::thread_pool& worker_;
  store::Store& store_;
  EventSink& sink_;
  std::function<void()> changed_;
  TableCache tables_;
  std::shared_ptr<const TargetTables> made_ahead_;  ///< until pushes have taken it
  std::shared_ptr<const config::Config> config_;
  std::map<std::string, RunPtr> runs_;
  std::deque<std::pair<RunPtr, sync::TargetMachine::Desired>> queue_;
  std::size_t running_ = 0;
  bool stopping_ = false;
  std::set<std::string> unproven_;
  boost::asio::steady_timer idle_;
  boost::asio::steady_timer ended_;  ///< cancelled whenever a push ends; never set to a time
  boost::asio::steady_timer patience_;
  std::set<RunPtr> active_;  ///< runs with a push, also those that are gone
};

}  // namespace rcptsync::service

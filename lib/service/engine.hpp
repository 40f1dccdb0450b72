// engine — the one place where sources, rules, store and fleet meet: runs whole cycles, one at a
// time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/rules.hpp"
#include "service/commit.hpp"
#include "service/doorbells.hpp"
#include "service/fleet.hpp"
#include "service/orders.hpp"
#include "service/read_plan.hpp"
#include "service/reader.hpp"
#include "service/reporter.hpp"
#include "service/runtime.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct CycleRequest {
  store::Cause cause = store::Cause::schedule;
  Occasion occasion = Occasion::poll;
  bool force = false;             ///< push to every target even if nothing changed
  std::set<std::string> sources;  ///< for a ring: those that rang, the others are not read
  std::vector<Order> orders;      ///< as CycleInput::orders
};

struct CycleOutcome {
  bool sources_failed = false;  ///< at least one, or the state could not be written
  bool stopped = false;         ///< `stop` came before all was read: nothing was done
  bool committed = false;       ///< the state could be written, if there was something to write
  CycleReport report;
};

class Engine {
 public:
  Engine(boost::asio::io_context& io, std::unique_ptr<store::Store> store, EventSink& sink,
         MakeSource make_source = source::create_source);
  ~Engine();

  /// Takes over a configuration: at the start and after SIGHUP.
  Result<> configure(std::shared_ptr<const config::Config> config);

  /// Reads the sources, commits, and sets the fleet going. Never two at the same time. If `stop` is
  /// requested before all is read, nothing of it is believed and nothing is said.
  boost::asio::awaitable<CycleOutcome> cycle(CycleRequest request, std::stop_token stop);

  /// From now on, and after each configure(), watches the sources that can tell of changes. `rang`
  /// is called when rung() is not empty any more.
  void watch_sources(std::function<void()> rang);
  void stop_watching();
  /// The sources that rang since they were last taken.
  [[nodiscard]] const std::set<std::string>& rung() const { return rung_; }
  std::set<std::string> take_rung() { return std::exchange(rung_, {}); }

  /// Says in status.json when the next poll is due.
  void next_poll(std::optional<WallTime> time);

  Fleet& fleet() { return fleet_; }
  Reporter& reporter() { return reporter_; }
  /// One line for `systemctl status`.
  [[nodiscard]] std::string summary() const;

 private:
  struct Reads;
  boost::asio::awaitable<std::shared_ptr<Reads>> read_sources(const CycleRequest& request,
                                                              std::stop_token stop);
  ReadOrder order_for(std::size_t index, const CycleRequest& request) const;
  std::uint64_t generation_in_force();
  bool note_reads(const Reads& reads);
  void note_committed(const Reads& reads, const CycleReport& report, WallTime began);
  void tell_missed(std::size_t index, const SourceRead& read);
  std::vector<std::string> name_missed(std::size_t index, const SourceRead& read);
  Result<> keep_cookies();
  void hang_bells();
  void note_rings(const CycleRequest& request, const Reads& reads, bool committed);
  void tell(const CycleReport& report, std::chrono::microseconds duration);
  void save();
  void follow_progress();

  boost::asio::io_context& io_;
  std::unique_ptr<store::Store> store_;
  Reporter reporter_;
  EventSink& sink_;  ///< the reporter, which passes everything on
  MakeSource make_source_;
  boost::asio::thread_pool worker_{1};                 ///< writes the store and makes tables
  std::unique_ptr<boost::asio::thread_pool> readers_;  ///< read the sources
  RuntimeStatus runtime_;
  std::optional<RuntimeWriter> writer_;  ///< from the first configure() on
  Fleet fleet_;
  std::shared_ptr<const config::Config> config_;
  std::optional<recipient::Rules> rules_;
  std::unique_ptr<Reader> reader_;
  NewerCookies kept_cookies_;  ///< as they stand in the file
  std::set<std::string> rung_;
  /// Sources that answered a ring with a full read: until the next poll their rings are not heard,
  /// or a busy directory would be read in full without end.
  std::set<std::string> resting_;
  std::function<void()> rang_;  ///< empty: nothing is watched
  std::unique_ptr<Doorbells> bells_;
  struct Summary {
    std::uint64_t generation = 0, recipients = 0, held = 0;
    bool holds = false;
  };
  Summary last_;                    ///< of the last cycle
  std::shared_ptr<Reads> reading_;  ///< while sources are read
  boost::asio::steady_timer progress_;
  bool following_ = false;  ///< the timer runs
};

}  // namespace rcptsync::service

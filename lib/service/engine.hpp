// engine — the one place where sources, rules, store and fleet meet: runs whole cycles, one at a
// time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <stop_token>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/rules.hpp"
#include "service/commit.hpp"
#include "service/fleet.hpp"
#include "service/reader.hpp"
#include "service/runtime.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct CycleOutcome {
  bool sources_failed = false;  ///< at least one, or the state could not be written
  CycleReport report;
};

class Engine {
 public:
  Engine(boost::asio::io_context& io, std::unique_ptr<store::Store> store, EventSink& sink);
  ~Engine();

  /// Takes over a configuration: at the start and after SIGHUP.
  Result<> configure(std::shared_ptr<const config::Config> config);

  /// Reads every source, commits, and sets the fleet going. `full`: no incremental reads. `force`:
  /// push to every target even if nothing changed. Never two at the same time.
  boost::asio::awaitable<CycleOutcome> cycle(store::Cause cause, bool full, bool force,
                                             std::stop_token stop);

  /// Says in status.json when the next poll is due.
  void next_poll(std::optional<WallTime> time);

  Fleet& fleet() { return fleet_; }
  /// One line for `systemctl status`.
  [[nodiscard]] std::string summary() const;

 private:
  struct Reads;
  boost::asio::awaitable<std::shared_ptr<Reads>> read_sources(bool full, std::stop_token stop);
  std::uint64_t generation_in_force();
  bool note_reads(const Reads& reads);
  void tell(const CycleReport& report, store::Cause cause, std::chrono::microseconds duration);
  void save();

  boost::asio::io_context& io_;
  std::unique_ptr<store::Store> store_;
  EventSink& sink_;
  boost::asio::thread_pool worker_{1};                 ///< writes the store and makes tables
  std::unique_ptr<boost::asio::thread_pool> readers_;  ///< read the sources
  RuntimeStatus runtime_;
  Fleet fleet_;
  std::shared_ptr<const config::Config> config_;
  std::optional<recipient::Rules> rules_;
  std::unique_ptr<Reader> reader_;
  struct Summary {
    std::uint64_t generation = 0, recipients = 0, held = 0;
    bool holds = false;
  };
  Summary last_;  ///< of the last cycle
};

}  // namespace rcptsync::service

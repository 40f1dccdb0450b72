// reporter — carries outside how things are, on threads of its own: the metrics file, and alerts to
// the administrator's program. Neither a poll nor a push ever waits for it.
//
//   Engine ──look()──▶ book thread: status ─▶ metrics_file
//   events ──emit()──▶               └─▶ alerts.hpp ─▶ alerts.json ─▶ delivery thread ─▶ program
//
// It stands in the way of the events to the journal, because some of them are what alerts are
// about.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "service/alerts.hpp"
#include "service/program.hpp"
#include "service/runtime.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

/// How long the administrator's program may take, and when it is run again.
struct ReporterTimes {
  std::chrono::milliseconds deadline = std::chrono::seconds(30);
  std::chrono::milliseconds mercy = std::chrono::seconds(2);
  std::vector<std::chrono::milliseconds> pauses{std::chrono::seconds(5), std::chrono::seconds(30)};
};

class Reporter : public EventSink {
 public:
  Reporter(store::Store& store, EventSink& sink, ReporterTimes times = {});
  /// Ends what runs, as stop() without time does.
  ~Reporter() override;
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  /// Before the first call, at the start, nothing is told; afterwards it takes over a
  /// configuration.
  void configure(std::shared_ptr<const config::Config> config);

  /// Passes the event on, and remembers it if alerts are about such.
  void emit(const Event& event) override;
  /// A poll has read the sources: `runtime` says how that went.
  void polled(const RuntimeStatus& runtime);
  /// Something may be different now.
  void look(const RuntimeStatus& runtime);

  /// No program is started any more. One that runs gets SIGTERM after half of `limit` and SIGKILL
  /// before the end of it. What was not delivered is after the next start.
  void stop(std::chrono::milliseconds limit);
  /// Waits until everything that may be told now was, or stop() is called.
  void finish();

 private:
  void keep_book();
  std::optional<WallTime> take_stock(const config::Config& config, const RuntimeStatus& runtime,
                                     const AlertNews& news);
  void put_back(const AlertNews& news);
  void deliver();
  bool run_for(const Alert& alert, const std::vector<std::string>& command);
  void write_metrics(const config::Config& config, const StatusReport& report,
                     const AlertMemory& memory);
  void save(const config::Config& config, WallTime now);
  void complain(bool& failing, const std::string& message);

  store::Store& store_;
  EventSink& sink_;
  const ReporterTimes times_;
  const WallTime started_;
  const std::string host_;
  ProgramStop stop_;

  // What the other threads leave here. Held for moments only.
  std::mutex inbox_mutex_;
  std::condition_variable inbox_changed_;
  std::shared_ptr<const config::Config> config_;
  RuntimeStatus runtime_;
  AlertNews news_;
  bool asked_ = false;       ///< look() was called
  bool busy_ = false;        ///< the book is being written
  bool stopping_ = false;    ///< stop() was called
  bool ending_ = false;      ///< the destructor was
  std::size_t pending_ = 0;  ///< alerts in the queue

  // The book. Held while alerts.json is written.
  std::mutex book_mutex_;
  AlertMemory memory_, saved_;
  bool book_fails_ = false, metrics_fails_ = false, status_fails_ = false;  ///< said once

  std::jthread book_, delivery_;  ///< the last members: they use the others
};

}  // namespace rcptsync::service

// doorbells — one thread for each source that can tell of changes, so that they are read at once
// and not when the schedule says so.
//
// A doorbell never says what changed, and may ring for nothing or not at all: the schedule stays
// the safety net. A lost connection is tried again, later and later; the log hears of it once, and
// once when it is back, and what may have been missed meanwhile is a ring too.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/event.hpp"
#include "base/random.hpp"
#include "source/source.hpp"

namespace rcptsync::service {

/// Whether a source tells of changes now.
enum class WatchState {
  none,        ///< it cannot, as it is configured
  connecting,  ///< not yet
  connected,
  lost,    ///< it did; tried again with backoff
  unable,  ///< its server cannot; not tried again before the next reload
};
/// `connected`, …; empty for none.
std::string_view to_string(WatchState state);
WatchState watch_state_of(std::string_view text);  ///< none for any other text

/// How long to wait before a watch is tried again that ended `failures` times in a row (from 1 on):
/// 1 s doubling to 1 min, of which half is random, so that many daemons do not call at once.
std::chrono::milliseconds watch_backoff(unsigned failures, Random& random);

class Doorbells {
 public:
  struct Callbacks {
    /// Something may have changed. Several rings before the first of them is served are one.
    std::function<void(const std::string& source)> rang;
    std::function<void(const std::string& source, WatchState state)> changed;
  };

  /// The callbacks are called on `io`, and never after the destructor began.
  Doorbells(boost::asio::io_context& io, EventSink& sink, Callbacks callbacks);
  Doorbells(const Doorbells&) = delete;
  Doorbells& operator=(const Doorbells&) = delete;
  /// Stops, and waits for the threads, which takes no longer than a source needs to notice.
  ~Doorbells();

  /// Hangs up a bell for a source that can_watch(). It is watched from the first note() on.
  void add(const std::string& name, std::shared_ptr<source::Source> source);
  /// Where the source's last complete read ended. A watch that runs goes on; the next one, after a
  /// loss, begins there.
  void note(const std::string& name, const source::WatchRequest& request);
  /// Takes all bells down. Returns at once; their threads end by themselves and tell nobody.
  void clear();

 private:
  struct Bell;
  void run(const std::stop_token& stop, const std::weak_ptr<Bell>& weak, Bell& bell);
  void tell(const std::weak_ptr<Bell>& weak, WatchState state);
  void ring(const std::weak_ptr<Bell>& weak, Bell& bell);

  boost::asio::io_context& io_;
  EventSink& sink_;
  Callbacks callbacks_;
  std::map<std::string, std::shared_ptr<Bell>, std::less<>> bells_;
  std::list<std::shared_ptr<Bell>> ending_;  ///< taken down, their threads may still run
};

}  // namespace rcptsync::service

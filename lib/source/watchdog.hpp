// watchdog — ends a blocked call on a socket at a deadline or when the read is to stop.
//
// libldap and the TLS library below it have waits that none of their own timeouts end: a peer that
// accepts and stays silent, one that sends a message byte by byte. shutdown(2) from another thread
// ends each of them at once, and the blocked call then returns as if the peer had closed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/handle.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::source {

class Watchdog {
 public:
  enum class Verdict {
    quiet,    ///< nothing happened: a failed call failed by itself
    expired,  ///< the deadline passed and the socket was shut down
    stopped,  ///< stop was requested and the socket was shut down
  };

  /// Watches `socket` from now on. It keeps a duplicate of the descriptor, so that it can never
  /// reach another connection that got the same number later.
  static Result<std::unique_ptr<Watchdog>> watch(int socket, SteadyTime deadline,
                                                 std::stop_token stop);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Moves the deadline to a later time. Cheap: made to be called for every message.
  void extend(SteadyTime deadline) { deadline_.store(deadline.time_since_epoch().count()); }
  /// Moves the deadline to any time.
  void set(SteadyTime deadline);

  [[nodiscard]] Verdict verdict() const { return verdict_.load(); }

 private:
  Watchdog(Fd socket, SteadyTime deadline, std::stop_token stop);
  void run();

  Fd socket_;
  std::stop_token stop_;
  std::atomic<SteadyTime::rep> deadline_;
  std::atomic<Verdict> verdict_{Verdict::quiet};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;  // guarded by mutex_
  std::stop_callback<std::function<void()>> on_stop_;
  std::thread thread_;
};

}  // namespace rcptsync::source

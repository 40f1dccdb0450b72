// signal — lets one coroutine wait for something that happens elsewhere on its executor, but never
// past a deadline.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::push {

/// Not safe between threads: fire() belongs on the executor. Handlers that may outlive the
/// coroutine hold it by shared_ptr.
class Signal {
 public:
  explicit Signal(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  void reset() { fired_ = false; }
  void fire() {
    fired_ = true;
    timer_.cancel();
  }

  /// Errc::timeout at the deadline, Errc::cancelled if the coroutine is.
  boost::asio::awaitable<Result<>> wait(SteadyTime deadline);

 private:
  boost::asio::steady_timer timer_;
  bool fired_ = false;
};

}  // namespace rcptsync::push

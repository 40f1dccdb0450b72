#include "source/watchdog.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace rcptsync::source {

Result<std::unique_ptr<Watchdog>> Watchdog::watch(int socket, SteadyTime deadline,
                                                  std::stop_token stop) {
  Fd duplicate{::fcntl(socket, F_DUPFD_CLOEXEC, 0)};
  if (!duplicate) return system_error(errno, "cannot duplicate a socket");
  return std::unique_ptr<Watchdog>(new Watchdog(std::move(duplicate), deadline, std::move(stop)));
}

Watchdog::Watchdog(Fd socket, SteadyTime deadline, std::stop_token stop)
    : socket_(std::move(socket)),
      stop_(stop),
      deadline_(deadline.time_since_epoch().count()),
      on_stop_(stop,
               [this] {
                 const std::lock_guard lock(mutex_);
                 changed_.notify_all();
               }),
      thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watchdog::set(SteadyTime deadline) {
  const std::lock_guard lock(mutex_);
  extend(deadline);
  changed_.notify_all();
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    const SteadyTime deadline{SteadyTime::duration{deadline_.load()}};
    const bool stopped = stop_.stop_requested();
    if (stopped || std::chrono::steady_clock::now() >= deadline) {
      // The verdict first: whoever is woken by the shutdown reads it.
      verdict_.store(stopped ? Verdict::stopped : Verdict::expired);
      ::shutdown(socket_.get(), SHUT_RDWR);
      return;
    }
    changed_.wait_until(lock, deadline);
  }
}

}  // namespace rcptsync::source

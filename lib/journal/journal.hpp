// journal — carries events to systemd's journal with their fields, or to stderr outside systemd,
// and tells the service manager how the daemon is.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

#include "base/event.hpp"

namespace rcptsync::journal {

/// The journal's native protocol (sd_journal_sendv) when stderr is the journal's stream
/// (JOURNAL_STREAM names the device and inode of fd 2, systemd.exec(5)); else lines on stderr.
/// Events below `least` priority are left out on stderr; the journal gets all and filters by
/// itself.
std::unique_ptr<EventSink> create_sink(Priority least = Priority::info);

/// The MESSAGE_ID of a kind, 32 hexadecimal digits as in systemd/rcptsync.catalog; empty for
/// diagnostic.
std::string_view message_id(EventKind kind);

/// The fields after MESSAGE as they are shown on stderr: ` event=poll-changed source=corp added=3`.
/// Empty if there are none.
std::string fields_text(const Event& event);

/// sd_notify(3); each does nothing when NOTIFY_SOCKET is not set.
class Notifier {
 public:
  virtual ~Notifier() = default;
  virtual void ready() = 0;
  virtual void reloading() = 0;  ///< with MONOTONIC_USEC; ready() ends it
  virtual void stopping() = 0;
  virtual void status(std::string_view line) = 0;
  virtual void watchdog() = 0;
  /// Half of WatchdogSec=, the interval at which to call watchdog(); nothing if the manager does
  /// not ask for it.
  [[nodiscard]] virtual std::optional<std::chrono::microseconds> watchdog_interval() const = 0;
};

std::unique_ptr<Notifier> create_notifier();

}  // namespace rcptsync::journal

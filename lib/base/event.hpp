// event — what the daemon says: one line with fields, carried to the journal or to stderr by a
// sink.
//
// The names of the kinds and fields are the contract with everybody who searches the journal; they
// are listed in docs/JOURNAL.md and in the message catalog.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rcptsync {

/// syslog(3) priorities.
enum class Priority { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

enum class EventKind {
  started,          ///< configuration and state are open
  stopping,         ///< SIGTERM or SIGINT was received
  reloaded,         ///< SIGHUP: the new configuration is in force
  reload_refused,   ///< SIGHUP: the new configuration has faults, the old one stays
  poll_unchanged,   ///< a cycle found nothing new
  poll_changed,     ///< a cycle found a difference
  poll_failed,      ///< a source could not be read completely
  change_held,      ///< the guard holds removals
  change_approved,  ///< a person let them through, or the hold ended by itself
  change_rejected,  ///< a person refused them
  committed,        ///< a new generation is in force
  push_started,
  push_done,
  push_failed,
  target_current,   ///< a target that was behind or failing holds the right table
  target_drifted,   ///< a target holds something nobody pushed
  verify_failed,    ///< a target does not serve what it holds
  address_dropped,  ///< values that cannot be recipients, counted and named
  rolled_back,
  diagnostic,  ///< detail that has no name of its own; RCPTSYNC_EVENT is left out
};

/// The name in RCPTSYNC_EVENT: `poll-unchanged`. Empty for diagnostic.
std::string_view to_string(EventKind kind);

struct Event {
  EventKind kind = EventKind::diagnostic;
  Priority priority = Priority::info;
  std::string message;  ///< one line, already escaped, without a final newline

  std::string source = {};
  std::string target = {};
  std::optional<std::uint64_t> generation = {};
  std::optional<std::uint64_t> added = {};
  std::optional<std::uint64_t> removed = {};
  std::optional<std::uint64_t> total = {};
  std::string digest = {};  ///< hexadecimal
  std::optional<std::chrono::microseconds> duration = {};
  std::string error = {};
};

/// An event of error priority whose `error` field is why.
inline Event failure(EventKind kind, std::string message, std::string why) {
  Event event{kind, Priority::error, std::move(message)};
  event.error = std::move(why);
  return event;
}

/// Where events go. emit() may be called from any thread and never fails or blocks for long.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void emit(const Event& event) = 0;
};

}  // namespace rcptsync

#include "base/event.hpp"

namespace rcptsync {

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::started:
      return "started";
    case EventKind::stopping:
      return "stopping";
    case EventKind::reloaded:
      return "reloaded";
    case EventKind::reload_refused:
      return "reload-refused";
    case EventKind::poll_unchanged:
      return "poll-unchanged";
    case EventKind::poll_changed:
      return "poll-changed";
    case EventKind::poll_failed:
      return "poll-failed";
    case EventKind::change_held:
      return "change-held";
    case EventKind::change_approved:
      return "change-approved";
    case EventKind::change_rejected:
      return "change-rejected";
    case EventKind::committed:
      return "committed";
    case EventKind::push_started:
      return "push-started";
    case EventKind::push_done:
      return "push-done";
    case EventKind::push_failed:
      return "push-failed";
    case EventKind::target_current:
      return "target-current";
    case EventKind::target_drifted:
      return "target-drifted";
    case EventKind::verify_failed:
      return "verify-failed";
    case EventKind::address_dropped:
      return "address-dropped";
    case EventKind::rolled_back:
      return "rolled-back";
    case EventKind::diagnostic:
      return "";
  }
  return "";
}

}  // namespace rcptsync

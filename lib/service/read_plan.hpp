// read_plan — whether a source is read in full or only what changed. Pure.
#pragma once

#include <optional>

#include "base/time.hpp"
#include "config/config.hpp"
#include "source/source.hpp"

namespace rcptsync::service {

/// What a cycle is for.
enum class Occasion {
  poll,    ///< the schedule, the start, SIGUSR1, --once: every source
  resync,  ///< SIGHUP: every source, in full
  ring,    ///< doorbells: only the sources that rang
  order,   ///< an operator's word on the state: no source
};

/// What is known of a source before it is read.
struct ReadHistory {
  bool has_cookie = false;
  /// Removals of its last read wait for a full one: an incremental read that says nothing of them
  /// confirms nothing.
  bool unconfirmed = false;
  std::optional<WallTime> last_full;  ///< when the last full read began; nothing: not known
  /// Its last read failed; if that was an increment that this server can never give, only a full
  /// read gets on.
  bool failed = false;
};

/// Full if the occasion or the source needs it, or if the last one is `schedule.full` ago; a time
/// that is not known or lies in the future counts as long ago. A doorbell never makes a full read
/// of one that can be incremental: it would ring for the whole directory at each change, while what
/// waits for a full read waits safely for the next poll.
source::ReadKind kind_of_read(Occasion occasion, const ReadHistory& history,
                              config::Seconds full_every, WallTime now);

}  // namespace rcptsync::service

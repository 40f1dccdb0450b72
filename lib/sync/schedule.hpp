// schedule — when the next poll is due. Pure; the daemon owns the timer.
#pragma once

#include "base/random.hpp"
#include "base/time.hpp"
#include "config/config.hpp"

namespace rcptsync::sync {

/// The first moment after `after` that the expression names, in the local time zone (TZ). A time
/// that daylight saving skips runs once right after the gap; one that it doubles runs once, the
/// first time.
WallTime next_cron(const config::Cron& cron, WallTime after);

/// The next poll after one that began at `now`: the interval ± jitter, or the next time of the cron
/// expression plus 0 to jitter of a minute. Never earlier than `now` + 1 s.
WallTime next_poll(const config::Schedule& schedule, WallTime now, Random& random);

}  // namespace rcptsync::sync

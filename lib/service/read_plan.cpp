#include "service/read_plan.hpp"

namespace rcptsync::service {

source::ReadKind kind_of_read(Occasion occasion, const ReadHistory& history,
                              config::Seconds full_every, WallTime now) {
  using source::ReadKind;
  if (occasion == Occasion::resync || !history.has_cookie) return ReadKind::full;
  if (occasion == Occasion::ring) return ReadKind::incremental;
  const bool due =
      !history.last_full || *history.last_full > now || now - *history.last_full >= full_every;
  return due || history.unconfirmed || history.failed ? ReadKind::full : ReadKind::incremental;
}

}  // namespace rcptsync::service

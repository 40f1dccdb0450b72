// file_watch — tells when files on this machine may have changed (inotify(7)).
//
// Not the files are watched but the folders on the way to them, every symbolic link included: a
// file that is replaced by rename, a link that is pointed elsewhere, a folder that appears. Changes
// that another host makes on a network file system stay unseen.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::source {

/// Calls `ring` a moment after something happened to one of the paths, once for many changes at a
/// time. `armed` is called once, as soon as nothing can be missed any more. Returns Errc::cancelled
/// soon after `stop`, else only with what keeps it from watching.
Result<> watch_files(const std::vector<std::string>& paths, const std::function<void()>& armed,
                     const std::function<void()>& ring, std::stop_token stop);

}  // namespace rcptsync::source

// control_client — rcptsyncctl's side of the control socket.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "service/control_protocol.hpp"

namespace rcptsync::service {

/// Where the daemon of this state may listen, in the order in which to try: $RUNTIME_DIRECTORY,
/// /run/rcptsync, `state_dir` (left out if it is empty).
std::vector<std::filesystem::path> control_sockets(const std::filesystem::path& state_dir);

/// Puts the request to the daemon that has this state, and hands on what it answers: the exit code.
/// Errc::not_found if none listens; Errc::permission if one does and does not let us; Errc::foreign
/// if the one that listens has another state or version.
Result<int> ask_daemon(const Request& request, std::ostream& out, EventSink& errors);

}  // namespace rcptsync::service

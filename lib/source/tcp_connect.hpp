// tcp_connect — a TCP connection within a deadline, name resolution included.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "base/handle.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::source {

/// Resolves `host` (a name or an address) and connects to its addresses one after the other; each
/// gets its share of the time that is left. The socket comes back blocking, with keepalive on.
/// Errors: unreachable, timeout, cancelled.
Result<Fd> tcp_connect(const std::string& host, std::uint16_t port, SteadyTime deadline,
                       const std::stop_token& stop);

}  // namespace rcptsync::source

// resolve — the addresses of a host name, without waiting behind anybody else's.
//
// Asio resolves all names of an io_context one after the other on one thread, and waits for that
// thread at the end: one name whose servers do not answer would hold up every target. Here each
// look-up has a thread of its own, which nobody waits for.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::push {

/// In the order of getaddrinfo(3) (RFC 6724), at most 16. An address literal needs no look-up.
/// Errors: not_found, unreachable (the name servers do not answer), timeout, cancelled.
boost::asio::awaitable<Result<std::vector<boost::asio::ip::tcp::endpoint>>> resolve(
    boost::asio::any_io_executor executor, std::string host, std::uint16_t port,
    SteadyTime deadline);

}  // namespace rcptsync::push

// endpoint — hosts, ports, addresses of machines and LDAP URIs as an administrator writes them.
//
// Pure functions of the text; the Error's message says what is wrong and what to write instead.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::config {

/// An IPv4 or IPv6 address without brackets.
bool is_ip(std::string_view text);

/// A host name (ASCII; letters, digits, '-', '_', '.') or an IP address without brackets.
Result<std::string> parse_host(std::string_view text);

struct HostPort {
  std::string host;  ///< without brackets
  std::uint16_t port = 0;
};

/// `host:port`, `192.0.2.1:25` or `[2001:db8::1]:25`. With `default_port` not 0 the port may be
/// left out.
Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port = 0);

/// `ldap://host[:port]` or `ldaps://host[:port]` (RFC 4516, only scheme, host and port).
Result<Server> parse_ldap_uri(std::string_view text);

}  // namespace rcptsync::config

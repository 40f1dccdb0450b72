// server_list — which servers a source is read from, and in which order.
//
// Either they stand in the configuration, or the DNS names them (SRV records, RFC 2782). The DNS is
// not authenticated, so what it says decides only where we connect to: a name outside the
// configured domain is refused, and the server then has to prove the name with its certificate or
// its Kerberos key.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

struct ServerList {
  std::vector<config::Server> servers;  ///< in the order in which they are tried; never empty
  std::vector<std::string> warnings;    ///< records that were refused, and why
};

/// The servers of `settings`; `preferred` (a uri) comes first if it is one of them. With `domain`
/// the DNS is asked anew each time, within connect_timeout, and at most 64 servers are given.
/// Errors: not_found (no record, or the domain says that it offers no LDAP), untrusted (only names
/// outside the domain), unreachable, timeout, cancelled.
Result<ServerList> servers_of(const config::LdapSource& settings, config::SourceType type,
                              std::string_view preferred, const std::stop_token& stop);

/// What is asked for: `_ldap._tcp.dc._msdcs.DOMAIN` for Active Directory, else `_ldap._tcp.DOMAIN`.
std::string service_name(config::SourceType type, std::string_view domain);

struct SrvRecord {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string target;
};

/// RFC 2782: ascending priority; equal ones in a random order in which a server's chance to come
/// next is proportional to its weight.
std::vector<SrvRecord> in_order(std::vector<SrvRecord> records, Random& random);

/// The records as servers. `records` is not empty.
Result<ServerList> servers_from(const std::vector<SrvRecord>& records, std::string_view domain);

}  // namespace rcptsync::source

#include "source/open_any.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "base/escape.hpp"
#include "source/ldap_bind.hpp"
#include "source/server_list.hpp"

namespace rcptsync::source {

Result<std::unique_ptr<LdapConnection>> open_any(const config::LdapSource& settings,
                                                 config::SourceType type,
                                                 std::string_view preferred, config::Server& server,
                                                 const std::stop_token& stop) {
  const auto credentials = Authenticator(settings).prepare(stop);
  if (!credentials) return credentials.error();
  const auto list = servers_of(settings, type, preferred, stop);
  if (!list) return list.error();
  std::vector<std::string> failures;
  Errc code = Errc::internal;
  for (const auto& candidate : list->servers) {
    server = candidate;
    auto connection = LdapConnection::open(settings, server, **credentials, stop);
    if (connection) return connection;
    const auto& failure = connection.error();
    if (failures.empty() || failure.code == Errc::credentials) code = failure.code;
    failures.push_back(failure.within(escape(server.uri)).message);
    if (failure.code == Errc::credentials || failure.code == Errc::cancelled) break;
  }
  return Error{code, fmt::format("{}", fmt::join(failures, "; "))};
}

}  // namespace rcptsync::source

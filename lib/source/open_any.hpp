// open_any — a connection to the first server of a source that answers.
#pragma once

#include <memory>
#include <stop_token>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

/// Tries the servers in order, `preferred` (a uri) first. `server` gets the one that answered;
/// it and `settings` outlive the connection. The error names each server that was tried.
/// Errc::credentials ends it at once: each further attempt with a wrong password would count
/// towards the account's lockout.
Result<std::unique_ptr<LdapConnection>> open_any(const config::LdapSource& settings,
                                                 config::SourceType type,
                                                 std::string_view preferred, config::Server& server,
                                                 const std::stop_token& stop);

}  // namespace rcptsync::source

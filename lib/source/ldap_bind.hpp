// ldap_bind — how a source proves to a server who it is: with a password, a Kerberos ticket, a
// certificate, or not at all.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "source/kerberos.hpp"

namespace rcptsync::source {

class LdapConnection;

/// What one read proves itself with.
struct Credentials {
  Credentials() = default;
  ~Credentials();  ///< wipes the password
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  std::string password;              ///< simple
  std::string cert_file, key_file;   ///< external: paths
  std::shared_ptr<Tickets> tickets;  ///< gssapi: logged in
};

/// Makes them. One for a source, for all its threads.
class Authenticator {
 public:
  /// `settings` outlives it and has what its method needs.
  explicit Authenticator(const config::LdapSource& settings);

  /// Reads the secrets anew, so that a changed one needs no restart; with gssapi, gets a ticket
  /// within connect_timeout. What fails here would fail at every server.
  Result<std::unique_ptr<const Credentials>> prepare(const std::stop_token& stop);

 private:
  const config::LdapSource& settings_;
  std::shared_ptr<Tickets> tickets_;
};

/// For --check: what is wrong with the secrets and the files of a bind; one line each.
std::vector<std::string> check_credentials(const config::Bind& bind);

/// Binds. `encrypted`: TLS is around the connection. Without it a bind with gssapi seals the
/// connection itself. Errc::credentials: the account is refused, so no other server should be
/// asked.
Result<> bind(LdapConnection& connection, const config::Bind& settings,
              const config::Server& server, const Credentials& credentials, bool encrypted,
              SteadyTime deadline, const std::stop_token& stop);

}  // namespace rcptsync::source

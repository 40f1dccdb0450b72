// ldap_connection — one authenticated connection to one LDAP server, every wait of it bounded.
//
// We connect and resolve ourselves and hand the socket to libldap, because its own connecting obeys
// no deadline in every phase. From then on the watchdog ends any wait: each message has to arrive
// whole within read_timeout after the one before it.
#pragma once

#include <ldap.h>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/handle.hpp"
#include "base/result.hpp"
#include "config/config.hpp"
#include "source/ldap_bind.hpp"
#include "source/ldap_errors.hpp"
#include "source/watchdog.hpp"

namespace rcptsync::source {

using LdapMessage = Handle<LDAPMessage, ldap_msgfree>;

/// An LDAPResult as received.
struct LdapResult {
  LdapFailure status;  ///< code 0: success
  Handle<LDAPControl*, ldap_controls_free> controls;
};

class LdapConnection {
 public:
  /// Connects, encrypts, verifies and binds within the source's connect_timeout. Messages name the
  /// step and the way out, not the server. Errc::credentials: the account itself is refused, so
  /// that no other server should be asked; wrong passwords add up and lock accounts.
  static Result<std::unique_ptr<LdapConnection>> open(const config::LdapSource& settings,
                                                      const config::Server& server,
                                                      const Credentials& credentials,
                                                      std::stop_token stop);
  ~LdapConnection();
  LdapConnection(const LdapConnection&) = delete;
  LdapConnection& operator=(const LdapConnection&) = delete;

  [[nodiscard]] LDAP* handle() const { return ldap_; }
  [[nodiscard]] const config::Server& server() const { return server_; }

  /// The next message of that operation. `during` says what the caller does, for the error.
  Result<LdapMessage> next(int operation, std::string_view during);

  /// The next message of that operation, or of any (LDAP_RES_ANY), however long it takes: for a
  /// server that speaks only when something happens. A stop ends it, and a connection that is lost,
  /// which keepalive notices within a minute.
  Result<LdapMessage> wait(int operation, std::string_view during);

  /// The result that a message carries.
  Result<LdapResult> result(LDAPMessage* message);

  /// Why a call of libldap failed with `code`: stopped, timed out, cut off, or what it says itself.
  [[nodiscard]] Error failure(int code, std::string_view during) const;

 private:
  LdapConnection(const config::LdapSource& settings, const config::Server& server);
  Result<> attach(Fd socket, const Credentials& credentials, const std::stop_token& stop);
  Result<> set_options(const Credentials& credentials);
  Result<> encrypt(const std::stop_token& stop);
  [[nodiscard]] bool plaintext() const;
  [[nodiscard]] Error tls_failure(int code, const std::stop_token& stop) const;
  [[nodiscard]] std::string overdue() const;
  [[nodiscard]] std::string diagnostic() const;
  [[nodiscard]] int result_code() const;

  const config::LdapSource& settings_;
  const config::Server& server_;
  std::string trust_file_;
  std::unique_ptr<Watchdog> watchdog_;
  LDAP* ldap_ = nullptr;
  bool bound_ = false;
  int operation_ = 0;  ///< the one that next() waits for
  SteadyTime operation_deadline_{};
};

}  // namespace rcptsync::source

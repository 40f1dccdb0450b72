// kerberos — tickets for a source, from its keytab, in a cache in memory that is its own.
//
// libkrb5 waits for a KDC as long as it likes and cannot be interrupted, so each conversation runs
// on a thread that is left behind when our deadline passes or a stop comes. There is at most one
// such thread for a source: the next attempt waits for it, within its own deadline.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

/// A cache in memory; its tickets vanish with the last user.
class TicketCache {
 public:
  TicketCache();
  ~TicketCache();
  TicketCache(const TicketCache&) = delete;
  TicketCache& operator=(const TicketCache&) = delete;
  [[nodiscard]] const std::string& name() const { return name_; }  ///< as libkrb5 resolves it

 private:
  std::string name_;
};

/// A ticket for one service.
struct Ticket {
  std::shared_ptr<const TicketCache> cache;
  std::string service;  ///< the principal, with its realm: ldap/dc1.example.com@EXAMPLE.COM
};

/// The tickets of one principal. Safe to use from several threads.
class Tickets {
 public:
  Tickets(std::string principal, config::SecretRef keytab);

  /// Makes sure that there is a ticket-granting ticket with at least half its life left, and that
  /// it was made with the keytab as it is now. Errors: those of the keytab's file, credentials
  /// (the KDC knows no such principal, or not this key, …), unreachable, timeout, cancelled,
  /// remote.
  Result<> log_in(SteadyTime deadline, const std::stop_token& stop);

  /// A ticket for the LDAP service of `host`, which is a name; log_in() succeeded before. The name
  /// is taken as it is written: no DNS decides who the service is.
  Result<Ticket> for_ldap(const std::string& host, SteadyTime deadline,
                          const std::stop_token& stop);

  /// The next log_in() begins anew: a server refused what these tickets prove.
  void forget();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What a failure of libkrb5 means and what to do about it. `code`: its error code; `text`: its own
/// words; `principal`, `service`: who asked for what.
Error explain_kerberos(std::int32_t code, std::string_view text, std::string_view principal,
                       std::string_view service);

/// For --check: the file can be read by us alone, is a keytab, and holds a key of `principal`.
Result<> check_keytab(const config::SecretRef& keytab, const std::string& principal);

}  // namespace rcptsync::source

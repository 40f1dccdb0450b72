#include "source/ldap_connection.hpp"

#include <fmt/format.h>
#include <openldap.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "source/tcp_connect.hpp"
#include "source/tls_diagnosis.hpp"

namespace rcptsync::source {
namespace {

using Steady = std::chrono::steady_clock;

// One entry with a hundred thousand addresses is a few MiB. libldap makes room for as much as a
// message announces, so this is also what a hostile peer can make us allocate.
constexpr ber_len_t max_message = 64U << 20U;
// Of the buffer between socket and decoder; one system call then brings many entries.
constexpr int read_ahead = 64 << 10;
// Between the socket (10) and TLS (20).
constexpr int read_ahead_level = 15;
// For the second look at a certificate that was refused.
constexpr std::chrono::seconds diagnosis_time{3};
// Of read_timeout: what a whole operation, one page of a search, may take.
constexpr int operation_share = 10;
// Longer than any process lives, and far from the end of the clock.
constexpr std::chrono::hours no_deadline{24 * 365 * 10};
// For the farewell.
constexpr std::chrono::seconds unbind_time{1};

// libldap opens a lost connection again by itself when the next request is sent: without our
// deadlines, unencrypted where StartTLS was used, and anonymous. This callback refuses it.
int refuse_connection(LDAP*, Sockbuf*, LDAPURLDesc*, sockaddr*, ldap_conncb*) {
  return -1;
}
void connection_closed(LDAP*, Sockbuf*, ldap_conncb*) {}
ldap_conncb no_reconnect{refuse_connection, connection_closed, nullptr};

std::string uri_of(const config::Server& server) {
  const bool v6 = server.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", server.ldaps ? "ldaps" : "ldap", v6 ? "[" : "", server.host,
                     v6 ? "]" : "", server.port);
}

}  // namespace

LdapConnection::LdapConnection(const config::LdapSource& settings, const config::Server& server)
    : settings_(settings),
      server_(server),
      trust_file_(settings.ca_file.empty() ? system_trust_file() : settings.ca_file) {}

LdapConnection::~LdapConnection() {
  if (ldap_ == nullptr) return;
  watchdog_->set(Steady::now() + unbind_time);
  ::ldap_unbind_ext(ldap_, nullptr, nullptr);
}

Result<std::unique_ptr<LdapConnection>> LdapConnection::open(const config::LdapSource& settings,
                                                             const config::Server& server,
                                                             const Credentials& credentials,
                                                             std::stop_token stop) {
  const auto deadline = Steady::now() + settings.connect_timeout;
  std::unique_ptr<LdapConnection> connection(new LdapConnection(settings, server));
  auto socket = tcp_connect(server.host, server.port, deadline, stop);
  if (!socket) return socket.error();
  auto watchdog = Watchdog::watch(socket->get(), deadline, stop);
  if (!watchdog) return watchdog.error();
  connection->watchdog_ = std::move(*watchdog);
  if (auto done = connection->attach(std::move(*socket), credentials, stop); !done)
    return done.error();
  if (auto done = source::bind(*connection, settings.bind, server, credentials,
                               !connection->plaintext(), deadline, stop);
      !done)
    return done.error();
  connection->bound_ = true;
  connection->watchdog_->set(Steady::now() + settings.read_timeout);
  return connection;
}

bool LdapConnection::plaintext() const {
  // Kerberos seals by itself, so it needs nobody's consent.
  const bool allowed =
      settings_.allow_plaintext || settings_.bind.method == config::BindMethod::gssapi;
  return !server_.ldaps && !settings_.start_tls && allowed;
}

Result<> LdapConnection::attach(Fd socket, const Credentials& credentials,
                                const std::stop_token& stop) {
  const int code = ::ldap_init_fd(socket.get(), LDAP_PROTO_TCP, uri_of(server_).c_str(), &ldap_);
  if (code != LDAP_SUCCESS)
    return Error{Errc::internal, fmt::format("libldap does not take {}: {}",
                                             escape(uri_of(server_)), ::ldap_err2string(code))};
  // ldap_unbind_ext closes it from now on.
  socket.release();
  if (auto done = set_options(credentials); !done) return done;
  return plaintext() ? Result<>{} : encrypt(stop);
}

Result<> LdapConnection::set_options(const Credentials& credentials) {
  // Everything that /etc/ldap/ldap.conf, ~/.ldaprc or LDAP… variables could have changed and that
  // matters here: a size limit set there would cut reads, TLS_REQCERT would switch off verifying.
  struct Option {
    int name;
    const void* value;
  };
  constexpr int version = LDAP_VERSION3;
  constexpr int never_dereference = LDAP_DEREF_NEVER;
  constexpr int unlimited = LDAP_NO_LIMIT;
  constexpr int demand = LDAP_OPT_X_TLS_DEMAND;
  constexpr int oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
  constexpr int client = 0;
  constexpr timeval never{-1, 0};  // the watchdog's business
  const std::array options{
      Option{LDAP_OPT_PROTOCOL_VERSION, &version},
      Option{LDAP_OPT_REFERRALS, LDAP_OPT_OFF},
      Option{LDAP_OPT_RESTART, LDAP_OPT_ON},
      Option{LDAP_OPT_DEREF, &never_dereference},
      Option{LDAP_OPT_SIZELIMIT, &unlimited},
      Option{LDAP_OPT_TIMELIMIT, &unlimited},
      Option{LDAP_OPT_NETWORK_TIMEOUT, &never},
      Option{LDAP_OPT_TIMEOUT, &never},
      Option{LDAP_OPT_CONNECT_CB, &no_reconnect},
      Option{LDAP_OPT_X_TLS_REQUIRE_CERT, &demand},
      Option{LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest},
      Option{LDAP_OPT_X_TLS_CACERTDIR, ""},
      Option{LDAP_OPT_X_TLS_CERTFILE, credentials.cert_file.c_str()},
      Option{LDAP_OPT_X_TLS_KEYFILE, credentials.key_file.c_str()},
      Option{LDAP_OPT_X_TLS_CACERTFILE, trust_file_.c_str()},
  };
  for (const auto& option : options)
    if (::ldap_set_option(ldap_, option.name, option.value) != LDAP_OPT_SUCCESS)
      return Error{Errc::internal, fmt::format("libldap refuses option {:#x}", option.name)};
  if (!plaintext() && ::ldap_set_option(ldap_, LDAP_OPT_X_TLS_NEWCTX, &client) != LDAP_OPT_SUCCESS)
    return Error{Errc::invalid,
                 fmt::format("{} cannot be used as trusted certificates; it has to be a readable "
                             "PEM file",
                             escape(trust_file_))};

  Sockbuf* buffer = nullptr;
  ::ldap_get_option(ldap_, LDAP_OPT_SOCKBUF, &buffer);
  ber_len_t largest = max_message;
  int size = read_ahead;
  ::ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &largest);
  ::ber_sockbuf_add_io(buffer, &ber_sockbuf_io_readahead, read_ahead_level, nullptr);
  ::ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_READAHEAD, &size);
  return {};
}

Result<> LdapConnection::encrypt(const std::stop_token& stop) {
  if (!server_.ldaps) {
    int operation = 0;
    int code = ::ldap_start_tls(ldap_, nullptr, nullptr, &operation);
    if (code != LDAP_SUCCESS) return failure(code, "asking for StartTLS");
    auto answer = next(operation, "asking for StartTLS");
    if (!answer) return answer.error();
    const auto status = result(answer->get());
    if (!status) return status.error();
    if (status->status.code != LDAP_SUCCESS) return explain_start_tls(status->status);
  }
  const int code = ::ldap_install_tls(ldap_);
  if (code != LDAP_SUCCESS) return tls_failure(code, stop);
  return {};
}

Result<LdapMessage> LdapConnection::next(int operation, std::string_view during) {
  if (bound_ && operation != operation_) {
    operation_ = operation;
    operation_deadline_ = Steady::now() + operation_share * settings_.read_timeout;
    watchdog_->extend(Steady::now() + settings_.read_timeout);
  }
  LDAPMessage* message = nullptr;
  const int type = ::ldap_result(ldap_, operation, LDAP_MSG_ONE, nullptr, &message);
  LdapMessage owned(message);
  if (type <= 0) return failure(result_code(), during);
  if (bound_)
    watchdog_->extend(std::min(Steady::now() + settings_.read_timeout, operation_deadline_));
  return owned;
}

Result<LdapMessage> LdapConnection::wait(int operation, std::string_view during) {
  watchdog_->extend(Steady::now() + no_deadline);
  LDAPMessage* message = nullptr;
  const int type = ::ldap_result(ldap_, operation, LDAP_MSG_ONE, nullptr, &message);
  LdapMessage owned(message);
  if (type <= 0) return failure(result_code(), during);
  watchdog_->set(Steady::now() + settings_.read_timeout);
  return owned;
}

Result<LdapResult> LdapConnection::result(LDAPMessage* message) {
  LdapResult answer;
  char* text = nullptr;
  char** referrals = nullptr;
  LDAPControl** controls = nullptr;
  const int code = ::ldap_parse_result(ldap_, message, &answer.status.code, nullptr, &text,
                                       &referrals, &controls, 0);
  answer.controls.reset(controls);
  if (text != nullptr) answer.status.diagnostic = text;
  if (referrals != nullptr && *referrals != nullptr) answer.status.referral = *referrals;
  ::ldap_memfree(text);
  ::ldap_memvfree(reinterpret_cast<void**>(referrals));
  if (code != LDAP_SUCCESS)
    return Error{Errc::protocol,
                 fmt::format("the server's answer is not LDAP: {}", ::ldap_err2string(code))};
  return answer;
}

Error LdapConnection::failure(int code, std::string_view during) const {
  switch (watchdog_->verdict()) {
    case Watchdog::Verdict::stopped:
      return {Errc::cancelled, fmt::format("stopped while {}", during)};
    case Watchdog::Verdict::expired:
      return {Errc::timeout, fmt::format("{}: {}", during, overdue())};
    case Watchdog::Verdict::quiet:
      break;
  }
  if (code == LDAP_SERVER_DOWN)
    return {Errc::incomplete,
            fmt::format("{}: the server closed the connection; look into its log", during)};
  return {Errc::protocol, fmt::format("{}: {}", during, describe({code, diagnostic(), {}}))};
}

// What did not come in time.
std::string LdapConnection::overdue() const {
  if (!bound_)
    return fmt::format(
        "not done within {} s (connect_timeout); look at the server, or raise "
        "connect_timeout",
        settings_.connect_timeout.count());
  if (Steady::now() >= operation_deadline_)
    return fmt::format(
        "not done within {} s ({} times read_timeout); look at the server's load, "
        "or lower page_size",
        operation_share * settings_.read_timeout.count(), operation_share);
  return fmt::format(
      "no complete answer for {} s (read_timeout); look at the server's load, or "
      "raise read_timeout",
      settings_.read_timeout.count());
}

Error LdapConnection::tls_failure(int code, const std::stop_token& stop) const {
  constexpr std::string_view during = "TLS handshake";
  if (watchdog_->verdict() != Watchdog::Verdict::quiet) return failure(code, during);
  auto error = diagnose_tls(server_, !server_.ldaps, trust_file_, diagnostic(),
                            Steady::now() + diagnosis_time, stop);
  if (settings_.bind.method == config::BindMethod::external && error.code != Errc::untrusted)
    error.message +=
        "; or the server does not accept our certificate: the authority that issued "
        "bind.cert_file has to be one that it trusts for clients";
  return stop.stop_requested() ? Error{Errc::cancelled, "stopped in the TLS handshake"} : error;
}

std::string LdapConnection::diagnostic() const {
  char* text = nullptr;
  ::ldap_get_option(ldap_, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
  std::string copy = text == nullptr ? "" : text;
  ::ldap_memfree(text);
  return copy;
}

int LdapConnection::result_code() const {
  int code = LDAP_OTHER;
  ::ldap_get_option(ldap_, LDAP_OPT_RESULT_CODE, &code);
  return code;
}

}  // namespace rcptsync::source

#include "source/ldap_bind.hpp"

#include <fmt/format.h>
#include <ldap.h>
#include <openssl/crypto.h>

#include "base/escape.hpp"
#include "config/endpoint.hpp"
#include "config/secret.hpp"
#include "source/channel_binding.hpp"
#include "source/client_certificate.hpp"
#include "source/gss_session.hpp"
#include "source/ldap_connection.hpp"
#include "source/ldap_errors.hpp"
#include "source/sealed_layer.hpp"

namespace rcptsync::source {
namespace {

using config::BindMethod;
using BervalPointer = Handle<berval, ber_bvfree>;

// A Kerberos conversation has four messages; a server that wants more is not one.
constexpr int most_rounds = 8;
// Bits: what AES has, and RC4 and DES have not.
constexpr unsigned least_strength = 128;
// RFC 4752 §3.1: the security layers, and the message that chooses one.
constexpr unsigned char no_layer = 1;
constexpr unsigned char sealed_layer = 4;
constexpr std::size_t layer_message = 4;

struct Reply {
  LdapFailure status;
  std::string token;  ///< serverSaslCreds
};

struct Conversation {
  LdapConnection& connection;
  const config::Bind& settings;
  bool encrypted;

  // One BindRequest and its answer. `name`: for a simple bind. `mechanism`: LDAP_SASL_SIMPLE or the
  // name of one of SASL.
  [[nodiscard]] Result<Reply> ask(const char* name, const char* mechanism,
                                  std::string_view token) const {
    berval value{token.size(), const_cast<char*>(token.empty() ? "" : token.data())};
    int operation = 0;
    const int code = ::ldap_sasl_bind(connection.handle(), name, mechanism, &value, nullptr,
                                      nullptr, &operation);
    if (code != LDAP_SUCCESS) return connection.failure(code, "binding");
    auto message = connection.next(operation, "binding");
    if (!message) return message.error();
    auto status = connection.result(message->get());
    if (!status) return status.error();
    Reply reply{std::move(status->status), {}};
    berval* answer = nullptr;
    ::ldap_parse_sasl_bind_result(connection.handle(), message->get(), &answer, 0);
    const BervalPointer owner(answer);
    if (answer != nullptr && answer->bv_val != nullptr)
      reply.token.assign(answer->bv_val, answer->bv_len);
    return reply;
  }

  // The last answer of a bind.
  [[nodiscard]] Result<> judge(const Reply& reply) const {
    if (reply.status.code == LDAP_SUCCESS) return {};
    return explain_bind(reply.status, settings, encrypted);
  }
};

std::string channel_binding(LDAP* ldap) {
  berval certificate{0, nullptr};
  if (::ldap_get_option(ldap, LDAP_OPT_X_TLS_PEERCERT, &certificate) != LDAP_OPT_SUCCESS) return {};
  auto binding = channel_binding_of({certificate.bv_val, certificate.bv_len});
  ::ldap_memfree(certificate.bv_val);
  return binding;
}

// RFC 4752 §3.1: the server says which layers it can and how long a token may be, we choose.
Result<std::string> choose_layer(GssSession& session, std::string_view offer, bool sealed,
                                 std::size_t& peer_limit) {
  auto layers = session.unwrap(offer, false);
  if (!layers) return layers.error();
  if (layers->size() != layer_message)
    return Error{Errc::protocol, "Kerberos: the server's offer of security layers is malformed"};
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>((*layers)[i]); };
  const unsigned char wanted = sealed ? sealed_layer : no_layer;
  if ((octet(0) & wanted) == 0)
    return Error{Errc::permission,
                 sealed ? "Kerberos: the server cannot seal the connection; use ldaps:// or "
                          "start_tls: true"
                        : "Kerberos: the server wants to seal inside TLS too, which is not done; "
                          "write start_tls: false with ldap:// servers, then Kerberos seals alone"};
  peer_limit = static_cast<std::size_t>(octet(1)) << 16 | octet(2) << 8 | octet(3);
  std::string choice{static_cast<char>(wanted), 0, 0, 0};
  if (sealed)
    for (std::size_t i = 1; i < layer_message; ++i)
      choice[i] = static_cast<char>(max_sealed_token >> 8 * (layer_message - 1 - i) & 0xFF);
  return session.wrap(choice, false);
}

Result<> bind_gssapi(const Conversation& conversation, const config::Server& server,
                     Tickets& tickets, SteadyTime deadline, const std::stop_token& stop) {
  if (config::is_ip(server.host))
    return Error{Errc::invalid,
                 fmt::format("Kerberos knows servers by name, not by address; write the full name "
                             "of {} in servers",
                             escape(server.host))};
  const bool sealed = !conversation.encrypted;
  auto& connection = conversation.connection;
  const auto ticket = tickets.for_ldap(server.host, deadline, stop);
  if (!ticket) return ticket.error();
  auto opened = GssSession::open(*ticket, sealed,
                                 sealed ? std::string{} : channel_binding(connection.handle()));
  if (!opened) return opened.error();
  auto session = *std::move(opened);

  Reply reply;
  for (int round = 0; !session->established(); ++round) {
    auto token = session->step(reply.token);
    if (!token) return token.error();
    if (round == most_rounds)
      return Error{Errc::protocol, "Kerberos: the server does not come to an end"};
    auto next = conversation.ask("", "GSSAPI", *token);
    if (!next) return next.error();
    reply = *std::move(next);
    if (reply.status.code != LDAP_SASL_BIND_IN_PROGRESS)
      return reply.status.code == LDAP_SUCCESS
                 ? Error{Errc::protocol, "Kerberos: the server ended the conversation too early"}
                 : conversation.judge(reply).error();
  }
  if (sealed && session->strength() < least_strength)
    return Error{Errc::permission,
                 fmt::format("Kerberos would seal with a key of {} bits, which is too weak; allow "
                             "AES for the account and the server, or use ldaps://",
                             session->strength())};
  std::size_t peer_limit = 0;
  auto choice = choose_layer(*session, reply.token, sealed, peer_limit);
  if (!choice) return choice.error();
  const auto last = conversation.ask("", "GSSAPI", *choice);
  if (!last) return last.error();
  if (auto judged = conversation.judge(*last); !judged) return judged;
  if (!sealed) return {};
  return install_sealed_layer(connection.handle(), std::move(session), peer_limit);
}

Result<> bind_once(const Conversation& conversation, const char* mechanism, const char* name,
                   std::string_view secret) {
  const auto reply = conversation.ask(name, mechanism, secret);
  return reply ? conversation.judge(*reply) : Result<>{reply.error()};
}

}  // namespace

Credentials::~Credentials() {
  ::OPENSSL_cleanse(password.data(), password.size());
}

Authenticator::Authenticator(const config::LdapSource& settings) : settings_(settings) {
  if (settings.bind.method == BindMethod::gssapi && settings.bind.keytab)
    tickets_ = std::make_shared<Tickets>(settings.bind.principal, *settings.bind.keytab);
}

Result<std::unique_ptr<const Credentials>> Authenticator::prepare(const std::stop_token& stop) {
  const auto& bind = settings_.bind;
  auto credentials = std::make_unique<Credentials>();
  switch (bind.method) {
    case BindMethod::simple: {
      auto password = config::read_password(*bind.password);
      if (!password) return password.error().within("bind.password_file");
      credentials->password = *password;
      ::OPENSSL_cleanse(password->data(), password->size());
      break;
    }
    case BindMethod::external: {
      auto pair = check_client_certificate(*bind.cert, *bind.key, std::chrono::system_clock::now());
      if (!pair) return pair.error();
      credentials->cert_file = config::resolve(*bind.cert).native();
      credentials->key_file = config::resolve(*bind.key).native();
      break;
    }
    case BindMethod::gssapi: {
      auto logged_in =
          tickets_->log_in(std::chrono::steady_clock::now() + settings_.connect_timeout, stop);
      if (!logged_in) return logged_in.error();
      credentials->tickets = tickets_;
      break;
    }
    case BindMethod::anonymous:
      break;
  }
  return std::unique_ptr<const Credentials>(std::move(credentials));
}

std::vector<std::string> check_credentials(const config::Bind& bind) {
  if (bind.password) {
    auto password = config::read_password(*bind.password);
    if (!password) return {"bind.password_file: " + password.error().message};
    ::OPENSSL_cleanse(password->data(), password->size());
  }
  if (bind.keytab)
    if (auto checked = check_keytab(*bind.keytab, bind.principal); !checked)
      return {"bind.keytab: " + checked.error().message};
  if (bind.cert && bind.key)
    if (auto checked =
            check_client_certificate(*bind.cert, *bind.key, std::chrono::system_clock::now());
        !checked)
      return {checked.error().message};
  return {};
}

Result<> bind(LdapConnection& connection, const config::Bind& settings,
              const config::Server& server, const Credentials& credentials, bool encrypted,
              SteadyTime deadline, const std::stop_token& stop) {
  const Conversation conversation{connection, settings, encrypted};
  switch (settings.method) {
    case BindMethod::simple:
      return bind_once(conversation, LDAP_SASL_SIMPLE, settings.user.c_str(), credentials.password);
    case BindMethod::external:
      return bind_once(conversation, "EXTERNAL", "", "");
    case BindMethod::gssapi: {
      auto bound = bind_gssapi(conversation, server, *credentials.tickets, deadline, stop);
      if (!bound && bound.error().code != Errc::cancelled) credentials.tickets->forget();
      return bound;
    }
    case BindMethod::anonymous:
      break;
  }
  return bind_once(conversation, LDAP_SASL_SIMPLE, "", "");
}

}  // namespace rcptsync::source

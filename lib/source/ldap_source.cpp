#include "source/ldap_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ldap.h>
#include <openldap.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "config/secret.hpp"
#include "source/ldap_connection.hpp"
#include "source/ldap_errors.hpp"
#include "source/ldap_read.hpp"
#include "source/server_list.hpp"
#include "source/sigpipe.hpp"
#include "source/tls_diagnosis.hpp"

namespace rcptsync::source {
namespace {

constexpr const char* active_directory_filter = "(|(proxyAddresses=*)(mail=*))";

/// Wipes a password where it stands: moving a short string would leave a copy behind.
class Wipe {
 public:
  explicit Wipe(std::string& text) : text_(text) {}
  Wipe(const Wipe&) = delete;
  Wipe& operator=(const Wipe&) = delete;
  ~Wipe() { ::OPENSSL_cleanse(text_.data(), text_.size()); }

 private:
  std::string& text_;
};

// What this version cannot do, or what would do something else than it says. Empty: nothing.
std::string unsupported(const config::LdapSource& settings) {
  using config::BindMethod;
  if (settings.servers.empty() && settings.domain.empty()) return "servers: none is named";
  if (settings.bind.method == BindMethod::gssapi || settings.bind.method == BindMethod::external)
    return "bind.method: this version can simple and anonymous only";
  if (settings.bind.method == BindMethod::simple) {
    // RFC 4513 §5.1.2: a name without a password, or a password without a name, binds anonymously.
    if (settings.bind.user.empty()) return "bind.user: a simple bind needs one";
    if (!settings.bind.password) return "bind.password_file: a simple bind needs one";
  }
  return {};
}

// libldap parses a filter only while it sends it, so it is sent to ourselves.
bool filter_parses(const std::string& filter) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return true;
  const Fd other{pair[1]};
  LDAP* ldap = nullptr;
  if (::ldap_init_fd(pair[0], LDAP_PROTO_TCP, "ldap://localhost", &ldap) != LDAP_SUCCESS) {
    ::close(pair[0]);
    return true;
  }
  int operation = 0;
  const int code = ::ldap_search_ext(ldap, "", LDAP_SCOPE_BASE, filter.c_str(), nullptr, 0, nullptr,
                                     nullptr, nullptr, LDAP_NO_LIMIT, &operation);
  ::ldap_unbind_ext(ldap, nullptr, nullptr);
  return code != LDAP_FILTER_ERROR;
}

// What is wrong with a file of trusted certificates; empty: nothing.
std::string check_trust_file(const std::string& path) {
  const Handle<SSL_CTX, SSL_CTX_free> context{SSL_CTX_new(TLS_client_method())};
  if (context && SSL_CTX_load_verify_file(context.get(), path.c_str()) == 1) return {};
  return fmt::format("ca_file: {} holds no certificates that can be read; it has to be a PEM file",
                     escape(path));
}

class LdapDirectory final : public Source {
 public:
  LdapDirectory(config::SourceType type, config::LdapSource settings)
      : type_(type), settings_(std::move(settings)) {
    if (settings_.filter.empty() && type_ == config::SourceType::active_directory)
      settings_.filter = active_directory_filter;
  }

  Result<Complete> read(const ReadRequest& request, recipient::ObjectSink& sink,
                        std::stop_token stop) override;

 private:
  Result<Complete> read_from(const config::Server& server, std::string_view password,
                             recipient::ObjectSink& sink, const std::stop_token& stop) const;

  config::SourceType type_;
  config::LdapSource settings_;
};

Result<Complete> LdapDirectory::read(const ReadRequest& request, recipient::ObjectSink& sink,
                                     std::stop_token stop) {
  const SigpipeBlock no_sigpipe;
  // Read each time, so that a changed password needs no restart.
  auto password = settings_.bind.password ? config::read_password(*settings_.bind.password)
                                          : Result<std::string>{std::string{}};
  if (!password) return password.error().within("bind.password_file");
  const Wipe wipe(*password);

  auto list = servers_of(settings_, type_, request.preferred_server, stop);
  if (!list) return list.error();

  std::vector<std::string> failures;
  Errc code = Errc::internal;
  for (const auto& server : list->servers) {
    if (!failures.empty()) sink.restart();
    auto complete = read_from(server, *password, sink, stop);
    if (complete) {
      complete->warnings = std::move(list->warnings);
      std::move(failures.begin(), failures.end(), std::back_inserter(complete->warnings));
      return complete;
    }
    auto failure = complete.error().within(escape(server.uri));
    if (failure.code == Errc::cancelled) return failure;
    if (failures.empty()) code = failure.code;
    failures.push_back(std::move(failure.message));
  }
  return Error{code, fmt::format("{}", fmt::join(failures, "; "))};
}

Result<Complete> LdapDirectory::read_from(const config::Server& server, std::string_view password,
                                          recipient::ObjectSink& sink,
                                          const std::stop_token& stop) const {
  auto connection = LdapConnection::open(settings_, server, password, stop);
  if (!connection) return connection.error();
  const auto totals = read_directory(**connection, type_, settings_, sink);
  if (!totals) return totals.error();
  Complete complete;
  complete.objects = totals->objects;
  complete.references = totals->references;
  complete.server = server.uri;
  return complete;
}

}  // namespace

Result<std::unique_ptr<Source>> create_ldap_source(const config::Source& source) {
  const auto& settings = std::get<config::LdapSource>(source.details);
  if (auto fault = unsupported(settings); !fault.empty())
    return Error{Errc::invalid, std::move(fault)};
  return std::unique_ptr<Source>(std::make_unique<LdapDirectory>(source.type, settings));
}

std::vector<std::string> check_ldap_source(const config::Source& source) {
  const auto& settings = std::get<config::LdapSource>(source.details);
  std::vector<std::string> faults;
  if (auto fault = unsupported(settings); !fault.empty()) faults.push_back(std::move(fault));
  if (settings.bind.password) {
    auto password = config::read_password(*settings.bind.password);
    if (password)
      const Wipe wipe(*password);
    else
      faults.push_back("bind.password_file: " + password.error().message);
  }
  if (!settings.ca_file.empty())
    if (auto fault = check_trust_file(settings.ca_file); !fault.empty())
      faults.push_back(std::move(fault));
  if (!settings.filter.empty() && !filter_parses(settings.filter))
    faults.push_back("filter: " +
                     explain_search({LDAP_FILTER_ERROR, {}, {}}, {}, settings).message);
  return faults;
}

}  // namespace rcptsync::source

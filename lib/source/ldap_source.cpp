#include "source/ldap_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ldap.h>
#include <openldap.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "base/time.hpp"
#include "source/global_catalogue.hpp"
#include "source/increments.hpp"
#include "source/ldap_bind.hpp"
#include "source/ldap_connection.hpp"
#include "source/ldap_cookie.hpp"
#include "source/ldap_errors.hpp"
#include "source/ldap_read.hpp"
#include "source/ldap_schema.hpp"
#include "source/server_list.hpp"
#include "source/sigpipe.hpp"
#include "source/tls_diagnosis.hpp"

namespace rcptsync::source {
namespace {

constexpr const char* active_directory_filter = "(|(proxyAddresses=*)(mail=*))";

// What this version cannot do, or what would do something else than it says. Empty: nothing.
std::string unsupported(const config::LdapSource& settings) {
  using config::BindMethod;
  if (settings.servers.empty() && settings.domain.empty()) return "servers: none is named";
  if (settings.bind.method == BindMethod::gssapi &&
      (settings.bind.principal.empty() || !settings.bind.keytab))
    return "bind: method gssapi needs principal and keytab";
  if (settings.bind.method == BindMethod::external && (!settings.bind.cert || !settings.bind.key))
    return "bind: method external needs cert_file and key_file";
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
    fingerprint_ = fingerprint(type_, settings_);
    increments_ = increments_with(settings_);
  }

  Result<Complete> read(const ReadRequest& request, recipient::ObjectSink& sink,
                        std::stop_token stop) override;
  [[nodiscard]] bool can_watch() const override { return settings_.incremental; }
  Result<> watch(const WatchRequest& request, const std::function<void()>& ring,
                 std::stop_token stop) override;

 private:
  /// What one read goes by, whichever server answers.
  struct Task {
    ReadKind kind;
    LdapCookie before;
    const Credentials& credentials;
    std::vector<std::string> servers;
  };

  [[nodiscard]] Result<ServerList> servers(const LdapCookie& cookie, const std::string& preferred,
                                           const std::stop_token& stop) const;
  [[nodiscard]] const Mark* mark_for(const LdapCookie& cookie, const std::string& server) const;
  [[nodiscard]] std::unique_ptr<Increments> increments_with(
      const config::LdapSource& settings) const;
  Result<Complete> read_from(const config::Server& server, const Task& task,
                             recipient::ObjectSink& sink, const std::stop_token& stop) const;
  Result<std::optional<Complete>> go_on(LdapConnection& connection, const Task& task,
                                        recipient::ObjectSink& sink,
                                        std::vector<std::string>& warnings) const;
  void remember(Complete& complete, const Task& task, const Mark& mark,
                const config::LdapSource& settings) const;

  config::SourceType type_;
  config::LdapSource settings_;
  Authenticator authenticator_{settings_};
  std::string fingerprint_;
  std::unique_ptr<Increments> increments_;  // for watch()
};

std::unique_ptr<Increments> LdapDirectory::increments_with(
    const config::LdapSource& settings) const {
  return type_ == config::SourceType::active_directory ? create_dirsync(settings)
                                                       : create_content_sync(settings);
}

// The preferred one first, those that lagged last.
Result<ServerList> LdapDirectory::servers(const LdapCookie& cookie, const std::string& preferred,
                                          const std::stop_token& stop) const {
  auto list =
      servers_of(settings_, type_, preferred.empty() ? cookie.mark_server : preferred, stop);
  if (list)
    std::stable_partition(list->servers.begin(), list->servers.end(),
                          [&](const auto& server) { return !has_lagged(cookie, server.uri); });
  return list;
}

// Where to go on at that server; nullptr: nowhere.
const Mark* LdapDirectory::mark_for(const LdapCookie& cookie, const std::string& server) const {
  const bool ours = cookie.mark && cookie.mark_server == server &&
                    cookie.fingerprint == fingerprint_ && settings_.incremental;
  return ours ? &*cookie.mark : nullptr;
}

Result<Complete> LdapDirectory::read(const ReadRequest& request, recipient::ObjectSink& sink,
                                     std::stop_token stop) {
  const SigpipeBlock no_sigpipe;
  const auto credentials = authenticator_.prepare(stop);
  if (!credentials) return credentials.error();
  Task task{.kind = request.kind,
            .before = parse_ldap_cookie(request.cookie),
            .credentials = **credentials,
            .servers = {}};

  auto list = servers(task.before, request.preferred_server, stop);
  if (!list) return list.error();
  for (const auto& server : list->servers) task.servers.push_back(server.uri);

  std::vector<std::string> failures;
  Errc code = Errc::internal;
  for (const auto& server : list->servers) {
    if (!failures.empty()) sink.restart();
    auto complete = read_from(server, task, sink, stop);
    if (complete) {
      auto warnings = std::move(list->warnings);
      std::move(failures.begin(), failures.end(), std::back_inserter(warnings));
      std::move(complete->warnings.begin(), complete->warnings.end(), std::back_inserter(warnings));
      complete->warnings = std::move(warnings);
      return complete;
    }
    auto failure = complete.error().within(escape(server.uri));
    if (failure.code == Errc::cancelled) return failure;
    if (failures.empty() || failure.code == Errc::credentials) code = failure.code;
    failures.push_back(std::move(failure.message));
    // Each further attempt with a wrong password would count towards the account's lockout.
    if (failure.code == Errc::credentials) break;
  }
  return Error{code, fmt::format("{}", fmt::join(failures, "; "))};
}

Result<Complete> LdapDirectory::read_from(const config::Server& server, const Task& task,
                                          recipient::ObjectSink& sink,
                                          const std::stop_token& stop) const {
  auto connection = LdapConnection::open(settings_, server, task.credentials, stop);
  if (!connection) return connection.error();
  Complete complete;
  auto gone_on = go_on(**connection, task, sink, complete.warnings);
  if (!gone_on && gone_on.error().code == Errc::timeout) {
    // A server that is slow in this alone can still be read in full.
    auto again = LdapConnection::open(settings_, server, task.credentials, stop);
    if (!again) return again.error();
    connection = std::move(again);
    sink.restart();
    complete.warnings.push_back(escape(server.uri) +
                                " was read in full: " + gone_on.error().message);
    gone_on = std::optional<Complete>{};
  }
  if (!gone_on) return gone_on.error();
  if (*gone_on) return **std::move(gone_on);

  const auto settings = as_the_server_names(**connection, settings_);
  if (!settings) return settings.error();
  if (type_ == config::SourceType::active_directory) {
    const auto whole =
        check_global_catalogue(**connection, *settings, [&](const config::Server& other) {
          return LdapConnection::open(settings_, other, task.credentials, stop);
        });
    if (!whole) return whole.error();
  }
  // With incremental: off too: it tells whether a server lags.
  const auto increments = increments_with(*settings);
  // Before the read: what changes meanwhile is told twice rather than never.
  auto mark = increments->mark(**connection);
  if (!mark && mark.error().code == Errc::timeout) {
    // A server that is slow in this alone can still be read.
    auto again = LdapConnection::open(settings_, server, task.credentials, stop);
    if (!again) return again.error();
    connection = std::move(again);
    mark = Mark{};
    mark->note =
        "the server did not say in time where it stands, so the next read is a full one, too; "
        "raise read_timeout, or write incremental: off";
  }
  if (!mark) return mark.error();
  if (settings_.incremental && !mark->note.empty() && mark->note != task.before.note)
    complete.warnings.push_back(escape(server.uri) + ": " + mark->note);
  const auto totals = read_directory(**connection, type_, *settings, sink);
  if (!totals) return totals.error();
  if (settings_.bases.size() > 1 && !mark->cookie.empty()) {
    // Who moved from a base that was still to be read to one that had been was seen in neither.
    auto moved = increments->read(**connection, *mark, sink);
    if (!moved && moved.error().code != Errc::foreign) return moved.error();
    if (moved && !moved->unseen_gone) *mark = std::move(moved->mark);
  }
  complete.objects = totals->objects;
  complete.references = totals->references;
  complete.deletions_unseen = mark->deletions_unseen;
  complete.server = server.uri;
  remember(complete, task, *mark, *settings);
  return complete;
}

// The incremental read, if one is asked for and can be made at this server. Else nothing, and why
// in the warnings if that is news.
Result<std::optional<Complete>> LdapDirectory::go_on(LdapConnection& connection, const Task& task,
                                                     recipient::ObjectSink& sink,
                                                     std::vector<std::string>& warnings) const {
  const std::optional<Complete> none;
  if (task.kind != ReadKind::incremental || !settings_.incremental || !task.before.mark)
    return none;
  const auto& server = connection.server().uri;
  const auto* since = mark_for(task.before, server);
  if (since == nullptr) {
    warnings.push_back(task.before.fingerprint != fingerprint_
                           ? "settings of the source were changed, so it was read in full"
                           : fmt::format("{} cannot go on where {} was, so it was read in full",
                                         escape(server), escape(task.before.mark_server)));
    return none;
  }
  auto settings = settings_;
  settings.addresses = task.before.addresses;
  settings.fallback = task.before.fallback;
  auto increment = increments_with(settings)->read(connection, *since, sink);
  if (!increment && increment.error().code == Errc::foreign) {
    sink.restart();
    warnings.push_back(
        fmt::format("{} was read in full: {}", escape(server), increment.error().message));
    return none;
  }
  if (!increment) return increment.error();
  Complete complete;
  complete.kind = ReadKind::incremental;
  complete.unseen_gone = increment->unseen_gone;
  complete.objects = increment->objects;
  complete.server = server;
  increment->mark.note = task.before.note;
  remember(complete, task, increment->mark, settings);
  return std::optional(std::move(complete));
}

// `settings`: with which it was read.
void LdapDirectory::remember(Complete& complete, const Task& task, const Mark& mark,
                             const config::LdapSource& settings) const {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(system_clock().wall().time_since_epoch())
          .count();
  complete.behind = lag(task.before, complete.server, mark, now);
  auto cookie = after_read(task.before, complete.server, mark, fingerprint_,
                           !complete.behind.empty(), task.servers, now);
  cookie.addresses = settings.addresses;
  cookie.fallback = settings.fallback;
  complete.cookie = to_bytes(cookie);
}

Result<> LdapDirectory::watch(const WatchRequest& request, const std::function<void()>& ring,
                              std::stop_token stop) {
  if (!settings_.incremental)
    return Error{Errc::invalid, "incremental: off, so nobody listens for changes"};
  const SigpipeBlock no_sigpipe;
  const auto cookie = parse_ldap_cookie(request.cookie);
  const auto credentials = authenticator_.prepare(stop);
  if (!credentials) return credentials.error();
  const auto list = servers(cookie, request.preferred_server, stop);
  if (!list) return list.error();

  const Bell bell{.ring = ring, .stands = [&] {
                    if (request.listening) request.listening();
                  }};
  std::vector<std::string> failures;
  Errc code = Errc::internal;
  for (const auto& server : list->servers) {
    auto connection = LdapConnection::open(settings_, server, **credentials, stop);
    if (connection) {
      const auto* mark = mark_for(cookie, server.uri);
      const auto ended = increments_->listen(**connection, mark == nullptr ? Mark{} : *mark, bell);
      return ended ? ended : ended.error().within(escape(server.uri));
    }
    auto failure = connection.error().within(escape(server.uri));
    if (failure.code == Errc::cancelled) return failure;
    if (failures.empty() || failure.code == Errc::credentials) code = failure.code;
    failures.push_back(std::move(failure.message));
    // Each further attempt with a wrong password would count towards the account's lockout.
    if (failure.code == Errc::credentials) break;
  }
  // Errc::invalid would say that no server ever can.
  return Error{code == Errc::invalid ? Errc::unreachable : code,
               fmt::format("{}", fmt::join(failures, "; "))};
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
  for (auto& fault : check_credentials(settings.bind)) faults.push_back(std::move(fault));
  if (!settings.ca_file.empty())
    if (auto fault = check_trust_file(settings.ca_file); !fault.empty())
      faults.push_back(std::move(fault));
  if (!settings.filter.empty() && !filter_parses(settings.filter))
    faults.push_back("filter: " +
                     explain_search({LDAP_FILTER_ERROR, {}, {}}, {}, settings).message);
  return faults;
}

}  // namespace rcptsync::source

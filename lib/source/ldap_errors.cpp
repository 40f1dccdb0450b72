#include "source/ldap_errors.hpp"

#include <fmt/format.h>
#include <ldap.h>

#include <array>

#include "base/escape.hpp"

namespace rcptsync::source {
namespace {

struct Refusal {
  std::string_view data;
  std::string_view what;
};

// The Win32 error that Active Directory puts into the diagnostic text of code 49, in hexadecimal.
constexpr std::array logon_refusals{
    Refusal{"525", "there is no such account; check bind.user"},
    Refusal{"52e", "wrong user name or password; check bind.user and the password file"},
    Refusal{"52f", "an account restriction forbids it; look at the account's logon settings"},
    Refusal{"530", "the account may not log on at this hour; widen its logon hours"},
    Refusal{"531", "the account may not log on from this host; widen its list of workstations"},
    Refusal{"532", "the account's password has expired; set a new one, or let it never expire"},
    Refusal{"533", "the account is disabled; enable it"},
    Refusal{"568", "the account is in too many groups"},
    Refusal{"701", "the account has expired; extend it"},
    Refusal{"773", "the account has to change its password first; clear that flag"},
    Refusal{"775", "the account is locked after too many wrong passwords; unlock it"},
};

// `80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 52e, v4563`
std::string_view logon_refusal(std::string_view diagnostic) {
  constexpr std::string_view mark = ", data ";
  const auto at = diagnostic.find(mark);
  if (at == std::string_view::npos) return {};
  auto data = diagnostic.substr(at + mark.size());
  data = data.substr(0, data.find_first_of(", "));
  for (const auto& known : logon_refusals)
    if (ascii_equal(known.data, data)) return known.what;
  return {};
}

std::string quoted_user(const config::Bind& bind) {
  return bind.method == config::BindMethod::anonymous ? "anonymous bind"
                                                      : "bind as " + escape(bind.user);
}

Error failed(Errc code, std::string_view what, const LdapFailure& failure) {
  return {code, fmt::format("{} ({})", what, describe(failure))};
}

}  // namespace

std::string describe(const LdapFailure& failure) {
  auto text = fmt::format("LDAP code {}, {}", failure.code, ::ldap_err2string(failure.code));
  if (!failure.diagnostic.empty()) text += fmt::format(": {}", escape(failure.diagnostic));
  return text;
}

Error explain_bind(const LdapFailure& failure, const config::Bind& bind, bool encrypted) {
  const auto who = quoted_user(bind);
  switch (failure.code) {
    case LDAP_INVALID_CREDENTIALS: {
      const auto refusal = logon_refusal(failure.diagnostic);
      return failed(
          Errc::credentials,
          fmt::format("{}: {}", who,
                      refusal.empty()
                          ? "wrong user name or password; check bind.user and the password file"
                          : refusal),
          failure);
    }
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_CONFIDENTIALITY_REQUIRED:
      return failed(Errc::permission,
                    encrypted
                        ? fmt::format("{}: the server does not take a simple bind", who)
                        : fmt::format("{}: the server takes no password without encryption; use "
                                      "ldaps:// or start_tls: true",
                                      who),
                    failure);
    case LDAP_INAPPROPRIATE_AUTH:
      return failed(Errc::credentials,
                    bind.method == config::BindMethod::anonymous
                        ? "the server allows no anonymous bind; give bind.user and a password"
                        : fmt::format("{}: the account has no password that a simple bind could "
                                      "check",
                                      who),
                    failure);
    case LDAP_INVALID_DN_SYNTAX:
      return failed(Errc::invalid,
                    fmt::format("{}: the server wants a distinguished name; write bind.user as a "
                                "DN",
                                who),
                    failure);
    case LDAP_INSUFFICIENT_ACCESS:
      return failed(Errc::permission, fmt::format("{}: not allowed", who), failure);
    case LDAP_BUSY:
    case LDAP_UNAVAILABLE:
      return failed(Errc::busy, fmt::format("{}: the server is busy or stopping", who), failure);
    case LDAP_UNWILLING_TO_PERFORM:
      return failed(Errc::remote,
                    fmt::format("{}: the server is unwilling; look into its log", who), failure);
    default:
      return failed(Errc::remote, fmt::format("{} failed; look into the server's log", who),
                    failure);
  }
}

Error explain_start_tls(const LdapFailure& failure) {
  switch (failure.code) {
    case LDAP_PROTOCOL_ERROR:
    case LDAP_UNWILLING_TO_PERFORM:
    case LDAP_UNAVAILABLE:
      return failed(Errc::remote,
                    "the server offers no StartTLS, most likely because it has no certificate; "
                    "give it one, or use ldaps://",
                    failure);
    default:
      return failed(Errc::remote, "the server refuses StartTLS; look into its log", failure);
  }
}

Error explain_search(const LdapFailure& failure, std::string_view base,
                     const config::LdapSource& settings) {
  const auto where = fmt::format("search below {}", base.empty() ? "\"\"" : escape(base));
  const auto say = [&](Errc code, std::string_view what) {
    return failed(code, fmt::format("{}: {}", where, what), failure);
  };
  switch (failure.code) {
    case LDAP_OPERATIONS_ERROR:
      return settings.bind.method == config::BindMethod::anonymous
                 ? say(Errc::permission,
                       "the server answers nobody without an account; give "
                       "bind.user and a password")
                 : say(Errc::remote, "the server failed; look into its log");
    case LDAP_TIMELIMIT_EXCEEDED:
      return say(Errc::limit,
                 "the server's time limit ended the search; index the attributes of the filter, "
                 "narrow it, or raise the limit for this account");
    case LDAP_SIZELIMIT_EXCEEDED:
      return say(Errc::limit,
                 "the server's size limit cut the answer; raise it for this account (OpenLDAP: "
                 "limits … size.prtotal=unlimited), a lower page_size may do too");
    case LDAP_ADMINLIMIT_EXCEEDED:
      return say(Errc::limit,
                 "a limit of the server ended the search; raise it for this account, or lower "
                 "page_size");
    case LDAP_REFERRAL:
      return say(Errc::not_found,
                 fmt::format("this server does not hold it and points to {}; name a server that "
                             "does",
                             failure.referral.empty() ? "nowhere" : escape(failure.referral)));
    case LDAP_PARTIAL_RESULTS:
      return say(Errc::incomplete, "the server has only a part of the answer");
    case LDAP_UNAVAILABLE_CRITICAL_EXTENSION:
      return say(Errc::remote,
                 "the server refuses paged results (RFC 2696), without which no read is known to "
                 "be whole");
    case LDAP_NO_SUCH_OBJECT:
      return say(Errc::not_found,
                 "there is no such base, or this account may not see it; check bases and the "
                 "account's rights");
    case LDAP_INVALID_DN_SYNTAX:
      return say(Errc::invalid, "the base is no distinguished name; correct it in bases");
    case LDAP_INAPPROPRIATE_MATCHING:
    case LDAP_INVALID_SYNTAX:
      return say(Errc::invalid, fmt::format("the server does not accept the filter {}; correct it",
                                            escape(settings.filter)));
    case LDAP_FILTER_ERROR:
      return {Errc::invalid,
              fmt::format("{} is not an LDAP filter (RFC 4515); correct it, for example "
                          "(|(proxyAddresses=*)(mail=*))",
                          escape(settings.filter))};
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_CONFIDENTIALITY_REQUIRED:
      return say(Errc::permission,
                 "the server answers only over an encrypted connection; use ldaps:// or "
                 "start_tls: true");
    case LDAP_INSUFFICIENT_ACCESS:
      return say(Errc::permission, "the account may not read it; give it read rights");
    case LDAP_BUSY:
      return say(Errc::busy, "the server is busy");
    case LDAP_UNAVAILABLE:
      return say(Errc::busy, "the server is stopping or not ready");
    case LDAP_UNWILLING_TO_PERFORM:
      return say(Errc::remote,
                 "the server is unwilling; a page that it no longer knows is one cause, its log "
                 "names it");
    default:
      return say(Errc::remote, "the server failed; look into its log");
  }
}

}  // namespace rcptsync::source

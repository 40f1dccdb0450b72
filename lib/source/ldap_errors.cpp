#include "source/ldap_errors.hpp"

#include <fmt/format.h>
#include <ldap.h>

#include <array>

#include "base/escape.hpp"

namespace rcptsync::source {
namespace {

struct Refusal {
  std::string_view data;
  Errc code;  ///< credentials: the account itself is refused, by every server of the domain
  std::string_view what;
};

// The Win32 error that Active Directory puts into the diagnostic text of code 49, in hexadecimal.
constexpr std::array logon_refusals{
    Refusal{"525", Errc::not_found, "there is no such account here; check its name in bind"},
    Refusal{"52e", Errc::credentials,
            "wrong user name or password; check bind.user and the password file"},
    Refusal{"52f", Errc::credentials,
            "an account restriction forbids it; look at the account's logon settings, silo and "
            "membership of Protected Users"},
    Refusal{"530", Errc::credentials,
            "the account may not log on at this hour; widen its logon hours"},
    Refusal{"531", Errc::credentials,
            "the account may not log on from this host; widen its list of workstations"},
    Refusal{"532", Errc::credentials,
            "the account's password has expired; set a new one, or let it never expire"},
    Refusal{"533", Errc::credentials, "the account is disabled; enable it"},
    Refusal{"534", Errc::credentials,
            "the account may not log on over the network; grant it that right on the domain "
            "controllers"},
    Refusal{"51f", Errc::busy, "the server reaches no domain controller of the account's domain"},
    Refusal{"54b", Errc::not_found, "the server knows no such domain; check the name in bind.user"},
    Refusal{"568", Errc::credentials, "the account is in too many groups; take it out of some"},
    Refusal{"569", Errc::credentials,
            "the account may not log on over the network; grant it that right on the domain "
            "controllers"},
    Refusal{"576", Errc::remote, "the clocks of this machine and of the server differ; set both"},
    Refusal{"6fb", Errc::remote, "the server has lost its own account in the domain; repair it"},
    Refusal{"6fc", Errc::remote, "the trust to the account's domain is broken; repair it"},
    Refusal{"6fd", Errc::remote, "the trust to the account's domain is broken; repair it"},
    Refusal{"701", Errc::credentials, "the account has expired; extend it"},
    Refusal{"773", Errc::credentials,
            "the account has to change its password first; clear that flag"},
    Refusal{
        "775", Errc::credentials,
        "the account is locked after too many wrong passwords; unlock it, and look for who else "
        "uses an old one"},
    Refusal{"80090346", Errc::untrusted,
            "the server misses the channel binding, or got that of another TLS connection; connect "
            "to it without a proxy that ends TLS between"},
};

// `80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 52e, v4563`
const Refusal* logon_refusal(std::string_view diagnostic) {
  constexpr std::string_view mark = ", data ";
  const auto at = diagnostic.find(mark);
  if (at == std::string_view::npos) return nullptr;
  auto data = diagnostic.substr(at + mark.size());
  data = data.substr(0, data.find_first_of(", "));
  for (const auto& known : logon_refusals)
    if (ascii_equal(known.data, data)) return &known;
  return nullptr;
}

std::string quoted_user(const config::Bind& bind) {
  switch (bind.method) {
    case config::BindMethod::simple:
      return "bind as " + escape(bind.user);
    case config::BindMethod::gssapi:
      return "bind as " + escape(bind.principal);
    case config::BindMethod::external:
      return "bind with the certificate of bind.cert_file";
    case config::BindMethod::anonymous:
      break;
  }
  return "anonymous bind";
}

// Code 49 without any of Active Directory's reasons.
std::string_view wrong_proof(config::BindMethod method) {
  switch (method) {
    case config::BindMethod::gssapi:
      return "the server does not accept the ticket; its keytab may hold an old key, or its clock "
             "be wrong: look into its log";
    case config::BindMethod::external:
      return "the server knows no account for it; map its subject to one there (OpenLDAP: "
             "authz-regexp; Active Directory: altSecurityIdentities, or the UPN in it)";
    default:
      return "wrong user name or password; check bind.user and the password file";
  }
}

Error failed(Errc code, std::string_view what, const LdapFailure& failure) {
  return {code, fmt::format("{} ({})", what, describe(failure))};
}

// Codes 8 and 13: not this way.
std::string_view demand(config::BindMethod method, bool encrypted) {
  if (!encrypted && method == config::BindMethod::gssapi)
    return "the server wants TLS around Kerberos; use ldaps:// or start_tls: true";
  if (!encrypted)
    return "the server takes no password without encryption; use ldaps:// or start_tls: true";
  if (method == config::BindMethod::gssapi)
    return "the server takes Kerberos inside TLS only if it signs or seals too (Samba: ldap server "
           "require strong auth = allow_sasl_over_tls); write start_tls: false with ldap:// "
           "servers, then Kerberos seals the connection by itself";
  if (method == config::BindMethod::external)
    return "the server wants a certificate of the client and saw none; let it ask for one "
           "(OpenLDAP: TLSVerifyClient try)";
  return "the server does not take a simple bind";
}

std::string_view unsupported(config::BindMethod method) {
  switch (method) {
    case config::BindMethod::gssapi:
      return "the server knows no Kerberos (SASL mechanism GSSAPI); install that mechanism there, "
             "or use method simple";
    case config::BindMethod::external:
      return "the server saw no certificate of ours; let it ask for one (OpenLDAP: TLSVerifyClient "
             "try) and trust the authority that issued bind.cert_file";
    default:
      return "the server does not take a simple bind; use method gssapi or external";
  }
}

std::string_view unwilling(config::BindMethod method, bool encrypted) {
  if (method == config::BindMethod::gssapi && encrypted)
    return "the server is unwilling, perhaps because a connection must not be protected by TLS and "
           "Kerberos together; write start_tls: false with ldap:// servers, then Kerberos seals "
           "the connection by itself";
  return "the server is unwilling: binds of this kind may be switched off there, or the account "
         "may have no password; look into its log";
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
      const auto* refusal = logon_refusal(failure.diagnostic);
      if (refusal != nullptr)
        return failed(refusal->code, fmt::format("{}: {}", who, refusal->what), failure);
      // The KDC has accepted the account, so the fault is this server's.
      const bool ticket = bind.method == config::BindMethod::gssapi;
      return failed(ticket ? Errc::permission : Errc::credentials,
                    fmt::format("{}: {}", who, wrong_proof(bind.method)), failure);
    }
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_CONFIDENTIALITY_REQUIRED:
      return failed(Errc::permission, fmt::format("{}: {}", who, demand(bind.method, encrypted)),
                    failure);
    case LDAP_AUTH_METHOD_NOT_SUPPORTED:
      return failed(Errc::remote, fmt::format("{}: {}", who, unsupported(bind.method)), failure);
    case LDAP_INAPPROPRIATE_AUTH:
      switch (bind.method) {
        case config::BindMethod::anonymous:
          return failed(Errc::credentials,
                        "the server allows no anonymous bind; give bind.user and a password",
                        failure);
        case config::BindMethod::simple:
          return failed(Errc::credentials,
                        fmt::format("{}: the account has no password that a simple bind could "
                                    "check",
                                    who),
                        failure);
        default:
          return failed(Errc::credentials, fmt::format("{}: {}", who, wrong_proof(bind.method)),
                        failure);
      }
    case LDAP_INVALID_DN_SYNTAX:
      return failed(Errc::invalid,
                    fmt::format("{}: the server wants a distinguished name; write bind.user as a "
                                "DN",
                                who),
                    failure);
    case LDAP_INSUFFICIENT_ACCESS:
      return failed(Errc::permission,
                    fmt::format("{}: the server does not let this account bind; give it the right, "
                                "or look at the server's access rules",
                                who),
                    failure);
    case LDAP_BUSY:
    case LDAP_UNAVAILABLE:
      return failed(Errc::busy, fmt::format("{}: the server is busy or stopping", who), failure);
    case LDAP_UNWILLING_TO_PERFORM:
      return failed(Errc::remote, fmt::format("{}: {}", who, unwilling(bind.method, encrypted)),
                    failure);
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

// ldap_errors — what an LDAP server's refusal means, and what to do about it.
//
// Pure: result codes (RFC 4511 §4.1.9, and libldap's own negative ones) and diagnostic texts in,
// words out. Texts from the server come out escaped.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

/// An LDAPResult that is not success, or a failure of libldap (negative code).
struct LdapFailure {
  int code = 0;
  std::string diagnostic;  ///< diagnosticMessage as sent
  std::string referral;    ///< the first URI of a referral
};

/// `LDAP code 53, Server is unwilling to perform: diagnostic`: what every message ends with.
std::string describe(const LdapFailure& failure);

/// The bind was not accepted. Active Directory's `data 52e` and its like are taken from the
/// diagnostic text. Errc::credentials: the account itself is refused, which every other server of
/// the same directory would do too, and some would count it.
Error explain_bind(const LdapFailure& failure, const config::Bind& bind, bool encrypted);

/// StartTLS was refused by the server (not: failed in the handshake).
Error explain_start_tls(const LdapFailure& failure);

/// A search ended with anything but success. `base`: where it searched.
Error explain_search(const LdapFailure& failure, std::string_view base,
                     const config::LdapSource& settings);

}  // namespace rcptsync::source

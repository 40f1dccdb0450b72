#include "source/ldap_errors.hpp"

#include <ldap.h>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

config::Bind simple_bind() {
  config::Bind bind;
  bind.method = config::BindMethod::simple;
  bind.user = "reader\n@example.com";
  return bind;
}

bool has(const Error& error, std::string_view text) {
  return error.message.find(text) != std::string::npos;
}

std::string logon(std::string_view data) {
  return "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data " +
         std::string(data) + ", v4563";
}

}  // namespace

TEST_CASE("an LDAP refusal is described with code, name and escaped text") {
  CHECK(describe({LDAP_BUSY, "", ""}) == "LDAP code 51, Server is busy");
  CHECK(describe({LDAP_BUSY, "a\nb", ""}) == "LDAP code 51, Server is busy: a\\nb");
}

TEST_CASE("Active Directory's reason for refusing a logon is found in its text") {
  const auto reason = [](std::string_view data) {
    return explain_bind({LDAP_INVALID_CREDENTIALS, logon(data), ""}, simple_bind(), true);
  };
  CHECK(has(reason("52e"), "wrong user name or password"));
  CHECK(has(reason("52E"), "wrong user name or password"));
  CHECK(has(reason("775"), "locked"));
  CHECK(has(reason("533"), "disabled"));
  CHECK(has(reason("532"), "password has expired"));
  CHECK(reason("775").code == Errc::credentials);
  // Not a known one, not there, cut off: the general words.
  for (const auto* text : {"999", "", "52e52e"}) CHECK(has(reason(text), "wrong user name"));
  const auto cut = explain_bind({LDAP_INVALID_CREDENTIALS, "x, data ", ""}, simple_bind(), true);
  CHECK(has(cut, "wrong user name"));
}

TEST_CASE("only a refusal of the account itself keeps other servers from being asked") {
  const auto code = [](std::string_view data) {
    return explain_bind({LDAP_INVALID_CREDENTIALS, logon(data), ""}, simple_bind(), true).code;
  };
  for (const auto* data : {"52e", "52f", "530", "531", "532", "533", "569", "701", "773", "775"}) {
    INFO(data);
    CHECK(code(data) == Errc::credentials);
  }
  for (const auto* data : {"525", "51f", "6fc", "80090346"}) {
    INFO(data);
    CHECK(code(data) != Errc::credentials);
  }
  for (const int result : {LDAP_STRONG_AUTH_REQUIRED, LDAP_INSUFFICIENT_ACCESS, LDAP_BUSY,
                           LDAP_UNWILLING_TO_PERFORM, LDAP_AUTH_METHOD_NOT_SUPPORTED})
    CHECK(explain_bind({result, "", ""}, simple_bind(), true).code != Errc::credentials);
}

TEST_CASE("each method's refusal says what that method needs") {
  auto bind = simple_bind();
  bind.principal = "svc@CORP.EXAMPLE";
  bind.method = config::BindMethod::gssapi;
  CHECK(has(explain_bind({LDAP_STRONG_AUTH_REQUIRED, "", ""}, bind, false), "TLS around Kerberos"));
  CHECK(has(explain_bind({LDAP_UNWILLING_TO_PERFORM, "", ""}, bind, true), "start_tls: false"));
  CHECK(has(explain_bind({LDAP_AUTH_METHOD_NOT_SUPPORTED, "", ""}, bind, true), "GSSAPI"));
  const auto ticket = explain_bind({LDAP_INVALID_CREDENTIALS, "", ""}, bind, true);
  CHECK(has(ticket, "svc@CORP.EXAMPLE"));
  // No password that would be counted; another server may take the same ticket.
  CHECK(ticket.code == Errc::permission);
  const auto disabled =
      "80090308: LdapErr: DSID-0C090439, AcceptSecurityContext error, data 533, v";
  CHECK(explain_bind({LDAP_INVALID_CREDENTIALS, disabled, ""}, bind, true).code ==
        Errc::credentials);
  bind.method = config::BindMethod::external;
  CHECK(has(explain_bind({LDAP_AUTH_METHOD_NOT_SUPPORTED, "", ""}, bind, true), "TLSVerifyClient"));
  CHECK(has(explain_bind({LDAP_INVALID_CREDENTIALS, "", ""}, bind, true), "authz-regexp"));
}

TEST_CASE("a bind's message names the user, escaped") {
  const auto error = explain_bind({LDAP_INVALID_CREDENTIALS, "", ""}, simple_bind(), true);
  CHECK(has(error, "reader\\n@example.com"));
}

TEST_CASE("a demand for encryption is told from a refusal of simple binds") {
  const LdapFailure failure{LDAP_STRONG_AUTH_REQUIRED, "", ""};
  CHECK(has(explain_bind(failure, simple_bind(), false), "start_tls"));
  CHECK_FALSE(has(explain_bind(failure, simple_bind(), true), "start_tls"));
}

TEST_CASE("no result code of a search is left without a way to a person's understanding") {
  const config::LdapSource settings;
  for (int code = 1; code <= 123; ++code) {
    const auto error = explain_search({code, "text", "ldap://x"}, "dc=a\nb", settings);
    CHECK(error.message.find('\n') == std::string::npos);
    CHECK(has(error, "dc=a\\nb"));
    CHECK(has(error, "LDAP code " + std::to_string(code) + ","));
    CHECK(error.code != Errc::internal);
  }
}

TEST_CASE("a search that needs an account says so only to the anonymous") {
  config::LdapSource settings;
  settings.bind = simple_bind();
  const LdapFailure failure{LDAP_OPERATIONS_ERROR, "", ""};
  CHECK(explain_search(failure, "dc=x", settings).code == Errc::remote);
  settings.bind.method = config::BindMethod::anonymous;
  CHECK(explain_search(failure, "dc=x", settings).code == Errc::permission);
}

#include "source/ldap_schema.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

using Names = std::vector<std::string>;

const AttributeNames schema{
    {"mail", "mail"},   {"rfc822mailbox", "mail"},      {"0.9.2342.19200300.100.1.3", "mail"},
    {"email", "email"}, {"emailaddress", "email"},      {"1.2.840.113549.1.9.1", "email"},
    {"cn", "cn"},       {"objectclass", "objectClass"},
};

config::LdapSource reading(Names addresses, Names fallback = {"mail"}) {
  config::LdapSource settings;
  settings.addresses = std::move(addresses);
  settings.fallback = std::move(fallback);
  settings.filter = "(mail=*)";
  return settings;
}

Result<bool> nowhere(const std::string&) {
  return false;
}

Error refused(const config::LdapSource& settings) {
  const auto named = named_by(schema, settings, nowhere);
  REQUIRE_FALSE(named);
  CHECK(named.error().code == Errc::not_found);
  return named.error();
}

}  // namespace

TEST_CASE("names and OID of an attribute type") {
  const auto type = parse_attribute_type(
      "( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) DESC 'RFC1274: (NAME 'x') ' "
      "EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26{256} X-ORIGIN ( 'a' 'b' ) "
      ")");
  REQUIRE(type);
  CHECK(type->oid == "0.9.2342.19200300.100.1.3");
  CHECK(type->names == Names{"mail", "rfc822Mailbox"});
  // As Active Directory writes them, and as few servers do.
  const auto single = parse_attribute_type("(2.5.4.0 NAME 'objectClass' SYNTAX '1.3.6.1')");
  REQUIRE(single);
  CHECK(single->names == Names{"objectClass"});
  const auto nameless = parse_attribute_type("( 1.2.3 DESC 'NAME' )");
  REQUIRE(nameless);
  CHECK(nameless->names.empty());
  for (const auto* odd :
       {"", "(", "()", "( 1.2", "1.2 NAME 'a'", "( 1.2 NAME", "( 1.2 NAME ( 'a'", "( 1.2 NAME '' )",
        "( 1.2 NAME 'a*' )", "( 'x' NAME 'a' )", "( 1.2 DESC 'open )", "( 1.2 NAME a )"})
    CHECK_FALSE(parse_attribute_type(odd));
}

TEST_CASE("aliases and OIDs are asked for by the name that comes back") {
  const auto named = named_by(schema,
                              reading({"EmailAddress", "1.2.840.113549.1.9.1;binary", "email"},
                                      {"rfc822Mailbox;lang-de", "MAIL"}),
                              nowhere);
  REQUIRE(named);
  CHECK(named->addresses == Names{"email", "email;binary"});
  CHECK(named->fallback == Names{"mail;lang-de", "MAIL"});
  CHECK(named->filter == "(mail=*)");
}

TEST_CASE("an attribute that the schema lacks is named") {
  CHECK_THAT(refused(reading({"mail", "emialAddress"})).message,
             Catch::Contains("does not know the attribute emialAddress") &&
                 Catch::Contains("correct its name in addresses"));
  CHECK_THAT(refused(reading({"mail"}, {"nail"})).message, Catch::Contains("in fallback"));
  CHECK_THAT(refused(reading({"ma)il"})).message, Catch::Contains("ma)il"));
  auto filtering = reading({"mail"});
  filtering.filter = "(&(mail=*)(!(hidden:1.2.3:=TRUE)))";
  CHECK_THAT(refused(filtering).message,
             Catch::Contains("attribute hidden") && Catch::Contains("in filter"));
}

TEST_CASE("of the defaults one may be missing, but not all that could hold an address") {
  auto settings = reading({"proxyAddresses"});
  settings.filter = "(|(proxyAddresses=*)(mail=*))";
  const auto named = named_by(schema, settings, nowhere);
  REQUIRE(named);
  CHECK(named->addresses == Names{"proxyAddresses"});
  CHECK_THAT(refused(reading({"proxyAddresses"}, {})).message, Catch::Contains("proxyAddresses"));
  CHECK(named_by(schema, reading({"cn"}, {}), nowhere));
}

TEST_CASE("what an entry has is known, whatever the schema shows") {
  Names asked;
  const auto named = named_by(schema, reading({"mail", "Extra"}), [&](const std::string& name) {
    asked.push_back(name);
    return Result<bool>(true);
  });
  REQUIRE(named);
  CHECK(named->addresses == Names{"mail", "Extra"});
  CHECK(asked == Names{"extra"});
  const auto broken = named_by(schema, reading({"extra"}), [](const std::string&) {
    return Result<bool>(Error{Errc::timeout, "late"});
  });
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code == Errc::timeout);
}

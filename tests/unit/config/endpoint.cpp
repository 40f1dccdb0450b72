#include "config/endpoint.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::config;

TEST_CASE("LDAP URIs: scheme, host and port") {
  const auto plain = parse_ldap_uri("ldap://dc1.corp.example.com");
  REQUIRE(plain);
  CHECK(plain->uri == "ldap://dc1.corp.example.com");
  CHECK(plain->host == "dc1.corp.example.com");
  CHECK(plain->port == 389);
  CHECK_FALSE(plain->ldaps);
  CHECK(parse_ldap_uri("LDAPS://DC1")->port == 636);
  CHECK(parse_ldap_uri("ldaps://192.0.2.1:1636")->port == 1636);
  const auto six = parse_ldap_uri("ldaps://[2001:db8::1]:3269");
  REQUIRE(six);
  CHECK(six->host == "2001:db8::1");
  CHECK(six->port == 3269);
  CHECK(parse_ldap_uri("ldap://[::1]")->port == 389);
}

TEST_CASE("LDAP URIs: everything else is refused") {
  for (const std::string text : {"",
                                 "dc1",
                                 "ldap:dc1",
                                 "ldap://",
                                 "ldapi:///",
                                 "http://dc1",
                                 "ldaps://dc1/dc=x",
                                 "ldaps://dc1:0",
                                 "ldaps://dc1:65536",
                                 "ldaps://dc1:",
                                 "ldaps://dc1:x",
                                 "ldaps://dc1:1:2",
                                 "ldaps://2001:db8::1",
                                 "ldaps://[2001:db8::1",
                                 "ldaps://[::1]x",
                                 "ldaps://[dc1]",
                                 "ldaps://user@dc1",
                                 "ldaps://dc 1",
                                 "ldaps://-dc1",
                                 "ldaps://dc1 ldap://dc2",
                                 "ldaps://dö",
                                 "ldaps://a..b"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_ldap_uri(text));
  }
  CHECK(parse_ldap_uri("ldaps://2001:db8::1").error().message ==
        "an IPv6 address stands in brackets here; write [2001:db8::1]");
}

TEST_CASE("hosts: a name or an address, nothing else") {
  for (const auto* text :
       {"mx", "mx2.example.net", "MX_1.example.net.", "192.0.2.1", "2001:db8::1"})
    CHECK(parse_host(text));
  CHECK(parse_host("[::1]").error().message ==
        "an IPv6 address stands without brackets here; write \"::1\"");
  CHECK(parse_host("mx2.example.net:2222").error().message ==
        "the port stands in a key of its own; write mx2.example.net and port: 2222");
  for (const std::string text :
       {"", "-oProxyCommand=x", "a b", "a/b", "user@host", "host;", ".", "a..b"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_host(text));
  }
  CHECK_FALSE(parse_host(std::string(64, 'a')));
}

TEST_CASE("host and port") {
  CHECK(parse_host_port("mx2.example.net:25")->port == 25);
  CHECK(parse_host_port("[::1]:2525")->host == "::1");
  CHECK(parse_host_port("mx2.example.net").error().message ==
        "mx2.example.net has no port; write host:port");
  CHECK_FALSE(parse_host_port("::1"));
}

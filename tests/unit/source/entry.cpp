#include "source/ldap_entry.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

config::LdapSource settings() {
  config::LdapSource source;
  source.addresses = {"proxyAddresses", "otherMailbox"};
  source.fallback = {"mail", "PROXYADDRESSES"};
  return source;
}

std::vector<std::string> requested(EntryDecoder& decoder) {
  std::vector<std::string> names;
  for (char** name = decoder.request(); *name != nullptr; ++name) names.emplace_back(*name);
  return names;
}

}  // namespace

TEST_CASE("an attribute's name is taken apart") {
  const auto plain = parse_attribute_name("mail");
  REQUIRE(plain);
  CHECK(plain->base == "mail");
  CHECK_FALSE(plain->ranged);
  CHECK(plain->complete);

  const auto tagged = parse_attribute_name("mail;lang-de;x-y");
  REQUIRE(tagged);
  CHECK(tagged->base == "mail");
  CHECK_FALSE(tagged->ranged);

  const auto some = parse_attribute_name("proxyAddresses;RANGE=1500-2999");
  REQUIRE(some);
  CHECK(some->base == "proxyAddresses");
  CHECK(some->ranged);
  CHECK(some->first == 1500);
  CHECK(some->last == 2999);
  CHECK_FALSE(some->complete);

  const auto rest = parse_attribute_name("proxyAddresses;binary;range=3000-*");
  REQUIRE(rest);
  CHECK(rest->first == 3000);
  CHECK(rest->complete);
}

TEST_CASE("a range that is none is an error, never a whole attribute") {
  for (const auto* option :
       {"range=", "range=-", "range=0", "range=0-", "range=-5", "range=a-b", "range=5-4",
        "range=0-1 ", "range=*-*", "range=0-18446744073709551616", "range=+1-2"}) {
    INFO(option);
    CHECK_FALSE(parse_attribute_name(std::string("proxyAddresses;") + option));
  }
}

TEST_CASE("a UUID is read in both cases and refused in every other form") {
  std::array<char, 16> bytes{};
  REQUIRE(parse_uuid("00112233-4455-6677-8899-aAbBcCdDeEfF", bytes));
  CHECK(std::string_view(bytes.data(), 16) ==
        std::string_view("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16));
  CHECK_FALSE(parse_uuid("", bytes));
  CHECK_FALSE(parse_uuid("00112233445566778899aabbccddeeff", bytes));
  CHECK_FALSE(parse_uuid("00112233-4455-6677-8899-aabbccddeef", bytes));
  CHECK_FALSE(parse_uuid("00112233-4455-6677-8899-aabbccddeefg", bytes));
  CHECK_FALSE(parse_uuid("00112233-4455-6677-8899aabb-ccddeeff", bytes));
  CHECK_FALSE(parse_uuid("{0112233-4455-6677-8899-aabbccddeef}", bytes));
}

TEST_CASE("the most specific class decides what an entry is") {
  const auto rank = [](std::string_view name) {
    int value = 0;
    kind_of(name, value);
    return value;
  };
  int ignored = 0;
  CHECK(kind_of("CONTACT", ignored) == recipient::ObjectClass::contact);
  CHECK(kind_of("top", ignored) == recipient::ObjectClass::other);
  CHECK(rank("contact") > rank("person"));
  CHECK(rank("user") > rank("person"));
  CHECK(rank("publicFolder") > rank("group"));
  CHECK(rank("person") > rank("top"));
}

TEST_CASE("each attribute is asked for once, and no more than is needed") {
  auto source = settings();
  EntryDecoder directory(config::SourceType::active_directory, source);
  CHECK(requested(directory) == std::vector<std::string>{"objectClass", "objectGUID",
                                                         "msExchRequireAuthToSendTo",
                                                         "msExchRecipientTypeDetails",
                                                         "proxyAddresses", "otherMailbox", "mail"});
  source.drop_sender_authentication = false;
  source.drop_system_mailboxes = false;
  EntryDecoder ldap(config::SourceType::ldap, source);
  CHECK(requested(ldap) == std::vector<std::string>{"objectClass", "objectGUID", "entryUUID",
                                                    "proxyAddresses", "otherMailbox", "mail"});
}

TEST_CASE("fallback values count only where no address is") {
  const EntryDecoder decoder(config::SourceType::ldap, settings());
  Entry entry;
  decoder.add(entry, 2, "only@example.com");
  decoder.add(entry, 1, "X400:c=de");
  REQUIRE(entry.object().values.size() == 1);
  CHECK(entry.object().values[0].attribute == "mail");
  CHECK(entry.object().values[0].text == "only@example.com");

  decoder.add(entry, 1, "smtp:other@example.com");
  REQUIRE(entry.object().values.size() == 1);
  CHECK(entry.object().values[0].attribute == "otherMailbox");
}

TEST_CASE("the origin is cut between characters") {
  Entry entry;
  const std::string dn = "cn=" + std::string(1020, 'x') + "é" + std::string(5000, 'y');
  entry.dn = dn;
  CHECK(entry.object().origin == dn.substr(0, 1023));
  const std::string continuation(5000, '\x80');
  entry.dn = continuation;
  CHECK(entry.object().origin.size() <= 1024);
}

TEST_CASE("an owned entry does not need the message any more") {
  const EntryDecoder decoder(config::SourceType::ldap, settings());
  auto text = std::make_unique<std::string>("smtp:a-value-too-long-to-be-kept-inside@example.com");
  auto dn = std::make_unique<std::string>("cn=somebody with a long name,dc=example,dc=com");
  Entry entry;
  entry.dn = *dn;
  entry.key = std::string_view(*dn).substr(0, 16);
  decoder.add(entry, 0, *text);
  OwnedEntry owned(entry);
  text.reset();
  dn.reset();
  CHECK(owned.entry().dn == "cn=somebody with a long name,dc=example,dc=com");
  CHECK(owned.entry().object().values[0].text ==
        "smtp:a-value-too-long-to-be-kept-inside@example.com");
}

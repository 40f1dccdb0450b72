// Entries as they come over the wire: libldap is given one end of a socket, the test writes into
// the other.
#include <ldap.h>
#include <openldap.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "base/handle.hpp"
#include "catch.hpp"
#include "source/ldap_entry.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

using Message = Handle<LDAPMessage, ldap_msgfree>;

/// One element in BER, its length in the long form of four bytes.
std::string element(char tag, const std::string& content) {
  std::string bytes{tag, '\x84'};
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>(content.size() >> static_cast<unsigned>(shift) & 255U);
  return bytes + content;
}

std::string text(const std::string& content) {
  return element('\x04', content);
}

std::string attribute(const std::string& name, const std::vector<std::string>& values) {
  std::string set;
  for (const auto& value : values) set += text(value);
  return element('\x30', text(name) + element('\x31', set));
}

class Wire {
 public:
  Wire() {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    other_ = Fd{pair[1]};
    REQUIRE(::ldap_init_fd(pair[0], LDAP_PROTO_TCP, "ldap://localhost", &ldap_) == LDAP_SUCCESS);
    REQUIRE(::ldap_search_ext(ldap_, "", LDAP_SCOPE_BASE, "(objectClass=*)", nullptr, 0, nullptr,
                              nullptr, nullptr, LDAP_NO_LIMIT, &operation_) == LDAP_SUCCESS);
  }
  ~Wire() { ::ldap_unbind_ext(ldap_, nullptr, nullptr); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  [[nodiscard]] LDAP* ldap() const { return ldap_; }

  /// A SearchResultEntry with these attributes, each already encoded.
  Message entry(const std::string& dn, const std::string& attributes) {
    const auto number = element('\x02', std::string(1, static_cast<char>(operation_)));
    const auto bytes =
        element('\x30', number + element('\x64', text(dn) + element('\x30', attributes)));
    REQUIRE(::write(other_.get(), bytes.data(), bytes.size()) ==
            static_cast<ssize_t>(bytes.size()));
    LDAPMessage* message = nullptr;
    REQUIRE(::ldap_result(ldap_, operation_, LDAP_MSG_ONE, nullptr, &message) ==
            LDAP_RES_SEARCH_ENTRY);
    return Message(message);
  }

 private:
  Fd other_;
  LDAP* ldap_ = nullptr;
  int operation_ = 0;
};

const std::string guid(16, '\x07');
const std::string person = attribute("objectClass", {"top", "person", "user"});
const std::string key = attribute("objectGUID", {guid});
const std::string dn = "CN=Ada,OU=Users,DC=example,DC=com";

config::LdapSource settings() {
  return {};
}

/// Decodes one entry and lets `look` see it.
void decode(const std::string& name, const std::string& attributes,
            const std::function<void(const Result<Entry*>&)>& look,
            const config::LdapSource& source = settings()) {
  Wire wire;
  EntryDecoder decoder(config::SourceType::active_directory, source);
  const auto message = wire.entry(name, attributes);
  look(decoder.decode(wire.ldap(), message.get()));
}

recipient::Drop drop_of(const std::string& name, const std::string& attributes,
                        const config::LdapSource& source = settings()) {
  auto drop = recipient::Drop::empty;
  decode(
      name, person + key + attributes,
      [&](const Result<Entry*>& entry) {
        REQUIRE(entry);
        drop = (*entry)->drop;
      },
      source);
  return drop;
}

}  // namespace

TEST_CASE("an entry is taken whole, in any order and any case") {
  decode(dn,
         attribute("PROXYADDRESSES", {"SMTP:ada@example.com", "X400:c=DE", "smtp:a@example.com"}) +
             attribute("mail", {"ada@example.com"}) + key + attribute("unasked", {"x", "y"}) +
             attribute("msExchRequireAuthToSendTo", {}) + person,
         [](const Result<Entry*>& entry) {
           REQUIRE(entry);
           CHECK((*entry)->dn == dn);
           CHECK((*entry)->key == guid);
           CHECK((*entry)->kind == recipient::ObjectClass::user);
           CHECK((*entry)->drop == recipient::Drop::kept);
           REQUIRE((*entry)->addresses.size() == 2);
           CHECK((*entry)->addresses[0].text == "SMTP:ada@example.com");
           CHECK((*entry)->addresses[1].attribute == "proxyAddresses");
           CHECK((*entry)->fallback.size() == 1);
         });
}

TEST_CASE("hostile bytes in a value come as they are") {
  const std::string hostile("smtp:\0a\n\xff@example.com", 19);
  decode(dn, person + key + attribute("proxyAddresses", {hostile, ""}),
         [&](const Result<Entry*>& entry) {
           REQUIRE(entry);
           REQUIRE((*entry)->addresses.size() == 2);
           CHECK((*entry)->addresses[0].text == hostile);
           CHECK((*entry)->addresses[1].text.empty());
         });
}

TEST_CASE("a range says what is missing") {
  decode(dn, person + key + attribute("proxyAddresses;range=0-1", {"smtp:a@b", "smtp:c@d"}),
         [](const Result<Entry*>& entry) {
           REQUIRE(entry);
           REQUIRE((*entry)->missing.size() == 1);
           CHECK((*entry)->missing[0].from == 2);
         });
  decode(dn, person + key + attribute("proxyAddresses;range=2-*", {"smtp:a@b"}),
         [](const Result<Entry*>& entry) { CHECK_FALSE(entry); });
}

TEST_CASE("what the settings drop") {
  const auto closed = attribute("msExchRequireAuthToSendTo", {"TRUE"});
  const auto health = attribute("msExchRecipientTypeDetails", {"549755813888"});
  const auto user = attribute("msExchRecipientTypeDetails", {"1"});
  const std::string system_dn = "CN=SystemMailbox{1f05a927-3be2-4fb9-aa03-b59fe3b56f4c},DC=example";
  CHECK(drop_of(dn, "") == recipient::Drop::kept);
  CHECK(drop_of(dn, closed) == recipient::Drop::sender_authentication);
  CHECK(drop_of(dn, attribute("msExchRequireAuthToSendTo", {"FALSE"})) == recipient::Drop::kept);
  CHECK(drop_of(dn, health) == recipient::Drop::system_object);
  CHECK(drop_of(dn, closed + health) == recipient::Drop::system_object);
  CHECK(drop_of(dn, health + closed) == recipient::Drop::system_object);
  CHECK(drop_of(system_dn, "") == recipient::Drop::system_object);
  CHECK(drop_of(system_dn, attribute("msExchRecipientTypeDetails", {})) ==
        recipient::Drop::system_object);
  // The type has the last word over the name, and what it says may be unknown.
  CHECK(drop_of(system_dn, user) == recipient::Drop::kept);
  CHECK(drop_of(system_dn, attribute("msExchRecipientTypeDetails", {"x"})) ==
        recipient::Drop::kept);

  auto keep = settings();
  keep.drop_system_mailboxes = false;
  CHECK(drop_of(system_dn, health, keep) == recipient::Drop::kept);
  CHECK(drop_of(system_dn, health + closed, keep) == recipient::Drop::sender_authentication);
  keep.drop_sender_authentication = false;
  CHECK(drop_of(dn, closed, keep) == recipient::Drop::kept);
}

TEST_CASE("nothing is left over from the entry before") {
  Wire wire;
  const auto source = settings();
  EntryDecoder decoder(config::SourceType::active_directory, source);
  const auto first =
      wire.entry(dn, person + key + attribute("msExchRequireAuthToSendTo", {"TRUE"}) +
                         attribute("msExchRecipientTypeDetails", {"8388608"}) +
                         attribute("proxyAddresses", {"smtp:a@b"}) + attribute("mail", {"a@b"}));
  REQUIRE(decoder.decode(wire.ldap(), first.get()));
  const auto second =
      wire.entry("CN=Bob,DC=example", attribute("objectGUID", {std::string(16, 'b')}));
  const auto entry = decoder.decode(wire.ldap(), second.get());
  REQUIRE(entry);
  CHECK((*entry)->drop == recipient::Drop::kept);
  CHECK((*entry)->kind == recipient::ObjectClass::other);
  CHECK((*entry)->addresses.empty());
  CHECK((*entry)->fallback.empty());
  const auto third = wire.entry("CN=Carl,DC=example", person);
  CHECK_FALSE(decoder.decode(wire.ldap(), third.get()));
}

TEST_CASE("what is no entry is refused, never half taken") {
  const auto refused = [](const std::string& attributes) {
    bool failed = false;
    decode(dn, attributes, [&](const Result<Entry*>& entry) { failed = !entry; });
    return failed;
  };
  const auto values = text("smtp:a@b");
  CHECK(refused(person + key + text("no sequence")));
  CHECK(refused(person + key + element('\x30', "")));
  CHECK(refused(person + key + element('\x30', text("proxyAddresses"))));
  CHECK(refused(person + key + element('\x30', text("proxyAddresses") + values)));
  CHECK(refused(person + key + element('\x30', element('\x02', "1") + element('\x31', values))));
  CHECK(refused(person + key +
                element('\x30', text("proxyAddresses") + element('\x31', element('\x02', "1")))));
  CHECK(refused(person + key +
                element('\x30', text("proxyAddresses") + element('\x31', values) + text("more"))));
  CHECK(refused(person + key + attribute("objectGUID", {"short"})));
  // Lengths that reach beyond what holds them.
  auto longer = element('\x30', text("proxyAddresses") + element('\x31', values));
  longer[longer.size() - 9] = '\x09';
  CHECK(refused(person + key + longer));
  CHECK(refused(person + longer + key));
  auto set = element('\x31', values);
  set[5] = static_cast<char>(set[5] + 4);
  CHECK(refused(person + element('\x30', text("proxyAddresses") + set) + key));
}

// Deliberate faults and the exact words about them.
#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync::config;

TEST_CASE("all faults are said at once, in the order of the file") {
  CHECK(
      faults_of(R"(state_dri: /x
schedule:
  poll: 8d
  jitter: 200%
  poll: 5m
sources:
- name: corp
  type: active-directory
  servers: ldaps://dc1
  bind: {method: simple, user: "", password: s3cret}
  page_size: 0
  read_timeout: 60
  start_tls: yes
- name: corp
  type: ldpa
- name: -x
  type: ldap
  filter: mail=*
recipients:
  domains: ["*.example.com"]
  always: [postmaster@example.com]
guard:
  max_removals: many
  max_removal_percent: 101
targets:
- name: mx1
  hots: mx1
  port: 70000
  path: relay_recipients
  host_key: SHA256:abc
)") ==
      Lines{
          "1: state_dri: unknown key; did you mean state_dir?",
          "3: schedule.poll: 8d is out of range; write 1s to 7d",
          "4: schedule.jitter: 200% is out of range; write 0% to 100%",
          "5: schedule.poll: stands twice, first in line 3; remove one of them",
          "9: sources[0].servers: must be a list, not a single value; write [ldaps://dc1]",
          "10: sources[0].bind.password: secrets do not stand in this file; put it into a file and "
          "write password_file: credential:NAME",
          "10: sources[0].bind.password_file: is missing; write for example password_file: "
          "credential:ad-password",
          "10: sources[0].bind.user: is empty; write a value or remove the key",
          "11: sources[0].page_size: 0 is out of range; write 1 to 100000",
          "12: sources[0].read_timeout: 60 has no unit; write 60s, or m, h or d",
          "13: sources[0].start_tls: yes is no truth value; write true or false",
          "14: sources[1].name: corp is taken by the entry in line 7; names are unique",
          "15: sources[1].type: ldpa is not known; did you mean ldap?",
          "16: sources[2].name: -x is no name; write 1 to 64 letters, digits, '.', '_' or '-', "
          "first "
          "a letter or a digit",
          "16: sources[2].servers: is missing; write for example servers: "
          "[ldaps://dc1.example.com]",
          "18: sources[2].filter: mail=* is no LDAP filter: its parentheses do not match; write "
          "for "
          "example (mail=*)",
          "20: recipients.domains[0]: *.example.com is no domain; subdomains are listed one by one",
          "21: recipients.always[0]: postmaster@example.com has a domain; write the local part "
          "alone, "
          "or put the address into recipients.static",
          "23: guard.max_removals: many is no whole number; write 0 to 4294967296",
          "24: guard.max_removal_percent: 101 is out of range; write 0% to 100%",
          "26: targets[0].host: is missing; write for example host: mx1.example.net",
          "27: targets[0].hots: unknown key; did you mean host?",
          "28: targets[0].port: 70000 is out of range; write 1 to 65535",
          "29: targets[0].path: relay_recipients is not absolute; path is a path on the target and "
          "begins with /",
          "30: targets[0].host_key: is no fingerprint; write SHA256: and 43 characters, as "
          "ssh-keygen "
          "-l -f /etc/ssh/ssh_host_ed25519_key.pub prints it on the target"});
}

TEST_CASE("a fault reads file, line, key, what") {
  const auto loaded = load_here("stop_timeout: 1\n" + least);
  REQUIRE_FALSE(loaded.usable());
  REQUIRE(!loaded.faults.empty());
  CHECK(loaded.faults[0].text() ==
        "/etc/rcptsync/rcptsync.yaml:1: stop_timeout: 1 has no unit; write 1s, or m, h or d");
}

TEST_CASE("keys that contradict each other") {
  const auto source = [](const std::string& keys) {
    return faults_of("sources:\n- name: c\n  type: ldap\n  filter: (mail=*)\n" + keys);
  };
  CHECK(source("  servers: [ldaps://a]\n  domain: b.example\n  bind: {method: anonymous}\n")
            .front() == "6: sources[0].domain: stands beside servers; keep one of the two");
  CHECK(source("  bind: {method: anonymous}\n") ==
        Lines{"2: sources[0].servers: is missing; write for example servers: "
              "[ldaps://dc1.example.com]"});
  CHECK(source("  servers: [ldap://a]\n  start_tls: false\n") ==
        Lines{"6: sources[0].start_tls: false sends everything in clear text over ldap://; write "
              "true, use ldaps://, or, where no other way is left, add allow_plaintext: true"});
  CHECK(source("  servers: [ldaps://a]\n  start_tls: false\n") == Lines{});
  CHECK(
      source("  servers: [ldaps://a]\n  allow_plaintext: true\n") ==
      Lines{"warning 6: sources[0].allow_plaintext: has no effect: every connection is encrypted; "
            "remove it"});
  CHECK(source("  servers: [ldaps://a]\n  bind: {method: anonymous, keytab: x}\n") ==
        Lines{"6: sources[0].bind.keytab: belongs to method gssapi; remove it, or change method"});
  const std::string gssapi = "  bind: {method: gssapi, principal: svc@CORP.EXAMPLE, keytab: /k}\n";
  const std::string external = "  bind: {method: external, cert_file: /c, key_file: /k}\n";
  CHECK(source("  servers: [ldap://dc1]\n  start_tls: false\n" + gssapi) == Lines{});
  CHECK(source("  domain: corp.example\n  start_tls: false\n" + gssapi) == Lines{});
  CHECK(
      source("  servers: [ldap://dc1]\n  start_tls: false\n  allow_plaintext: true\n" + gssapi) ==
      Lines{"warning 7: sources[0].allow_plaintext: has no effect: every connection is encrypted; "
            "remove it"});
  CHECK(
      source("  servers: [ldaps://192.0.2.1]\n" + gssapi) ==
      Lines{"5: sources[0].servers: ldaps://192.0.2.1 is an address, but Kerberos knows servers by "
            "name; write its full name"});
  CHECK(source("  servers: [ldap://dc1]\n" + external) == Lines{});
  CHECK(source("  servers: [ldap://dc1]\n  start_tls: false\n  allow_plaintext: true\n" + external)
            .front() ==
        "6: sources[0].start_tls: false leaves ldap:// without TLS, in which the "
        "certificate of method external is shown; write true, or use ldaps://");
  CHECK(
      source("  servers: [ldaps://dc1]\n  bind: {method: gssapi}\n") ==
      Lines{"6: sources[0].bind.principal: is missing; write for example principal: "
            "svc-rcptsync@EXAMPLE.COM",
            "6: sources[0].bind.keytab: is missing; write for example keytab: credential:keytab"});
  CHECK(source("  servers: [ldaps://dc1]\n  bind: {method: external, cert_file: /c}\n") ==
        Lines{"6: sources[0].bind.key_file: is missing; write for example key_file: "
              "credential:client-key"});
  CHECK(
      source("  servers: [ldaps://dc1]\n  bind: {method: gssapi, principal: svc, keytab: /k}\n") ==
      Lines{"6: sources[0].bind.principal: svc names no realm; write for example "
            "svc-rcptsync@EXAMPLE.COM"});
  CHECK(source("  servers: [ldaps://dc1]\n"
               "  bind: {method: gssapi, principal: svc@corp, keytab: /k}\n") ==
        Lines{"warning 6: sources[0].bind.principal: realms are written in capitals nearly "
              "everywhere, and corp is not"});
  for (const auto* wrong : {"192.0.2.1", "corp.example.", "münchen.example", "a..b", "\"*.x\""}) {
    INFO(wrong);
    const auto faults =
        source(std::string("  domain: ") + wrong + "\n  bind: {method: anonymous}\n");
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].find("is no DNS domain") != std::string::npos);
  }
  CHECK(
      source("  servers: [ldaps://a]\n  min_uid: 5\n").at(0).find("unknown key; known here are") !=
      std::string::npos);
}

TEST_CASE("a source of type ldap must name its filter, and one source there must be") {
  CHECK(faults_of("sources: [{name: a, type: ldap, servers: [ldaps://a]}]") ==
        Lines{"1: sources[0].filter: is missing; write for example filter: \"(mail=*)\""});
  CHECK(faults_of("sources: []") == Lines{"1: sources: at least one source is needed"});
  CHECK(faults_of("stop_timeout: 5s") ==
        Lines{"1: sources: is missing; write for example sources: [{name: corp, type: "
              "active-directory, …}]"});
}

TEST_CASE("recipients: what access(5) cannot do is refused") {
  const auto entry = [](const std::string& text) {
    const auto faults = faults_of(least + "recipients:\n  static: ['" + text + "']\n");
    return faults.empty() ? "" : faults.at(0);
  };
  CHECK(entry("a@example.com") == "");
  CHECK(entry("@example.com 550 Gone") ==
        "8: recipients.static[0]: @example.com cannot have a reject text: access(5) has no key for "
        "a whole domain; list the addresses, or remove the text");
  CHECK(entry("a@example.com OK") ==
        "8: recipients.static[0]: an entry without a reject text is accepted; write a@example.com "
        "alone");
  CHECK(entry("a@example.com REJECT").find("begins with an SMTP reply code") != std::string::npos);
  CHECK(entry("example.com 550 Gone").find("example.com is no address") != std::string::npos);
}

TEST_CASE("always needs domains") {
  CHECK(faults_of(least + "recipients: {always: [postmaster]}\n") ==
        Lines{"7: recipients.always: needs recipients.domains: these are accepted in every domain "
              "listed there"});
}

TEST_CASE("a canary that nobody can supply is pointed out") {
  const auto faults = faults_of(least +
                                "recipients: {domains: [Example.com]}\nguard: {canaries: "
                                "[a@example.COM, a@b.example, nobody]}\n");
  CHECK(faults ==
        Lines{"warning 8: guard.canaries[1]: a@b.example is in none of recipients.domains and can "
              "never be seen",
              "8: guard.canaries[2]: nobody is no address; write local@domain"});
}

TEST_CASE("targets: names, hosts and places are unique") {
  CHECK(faults_of(least + R"(targets:
- {name: a, host: mx.example.net}
- {name: a, host: mx2.example.net}
- {name: b, host: mx.example.net}
- {name: c, host: mx.example.net, enabled: false}
- {name: d, host: "mx.example.net:22"}
)") == Lines{
           "9: targets[1].name: a is taken by the entry in line 8; names are unique",
           "10: targets[2]: writes the same file as a: same host, port, user and path; change one "
           "of them",
           "12: targets[4].host: the port stands in a key of its own; write mx.example.net and "
           "port: 22"});
}

TEST_CASE("targets: remote paths") {
  const auto path = [](const std::string& text) {
    return !faults_of(least + "targets: [{name: a, host: a, path: \"" + text + "\"}]").empty();
  };
  CHECK_FALSE(path("/a/b c"));
  for (const auto* text : {"", "a", "/", "/a/", "/a/../b", "/a/..", "/a\\nb", "/a\\0b", "~/a"}) {
    CAPTURE(text);
    CHECK(path(text));
  }
}

TEST_CASE("targets: defaults do not hold what belongs to one target") {
  CHECK(faults_of(least + "target_defaults: {host: mx, host_key: x}\n") ==
        Lines{"7: target_defaults.host: belongs to one target; write it there",
              "7: target_defaults.host_key: belongs to one target; write it there"});
}

TEST_CASE("credentials cannot leave their folder") {
  for (const auto* name :
       {"credential:../shadow", "credential:", "credential:a/b", "credential:.."}) {
    CAPTURE(name);
    CHECK(faults_of(least + "target_defaults: {key_file: '" + std::string(name) + "'}\n").size() ==
          1);
  }
}

TEST_CASE("rollout names targets that exist") {
  CHECK(faults_of(least + "targets: [{name: a, host: a}]\nrollout: {canary: [b], parallel: 0}\n")
            .front() == "8: rollout.canary[0]: b is no target's name");
}

TEST_CASE("wrong kinds of values") {
  CHECK(faults_of(
            least +
            "schedule: 5m\nguard: []\nstop_timeout: {a: b}\nhistory:\nremoval: {grace: [1]}\n") ==
        Lines{"7: schedule: must be a map of keys, not a single value",
              "8: guard: must be a map of keys, not a list",
              "9: stop_timeout: must be a single value, not a map of keys",
              "10: history: has no value; write one or remove the key",
              "11: removal.grace: must be a single value, not a list"});
  CHECK(faults_of("- a\n- b\n") == Lines{"1: : must be a map of keys, not a list"});
  CHECK(faults_of("[a]: b\n" + least).front() == "1: : a key must be a single word, not a list");
}

TEST_CASE("a cron expression is checked like everything else") {
  CHECK(faults_of(least + "schedule: {poll: '61 * * * *'}\n") ==
        Lines{"7: schedule.poll: cron field minute `61`: is outside 0 to 59"});
  CHECK(faults_of(least + "schedule: {poll: '@hourly'}\n").size() == 1);
}

// Every key once with a value that is not its default.
#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync::config;

TEST_CASE("every key of a directory source is read") {
  const auto loaded = load_here(R"(state_dir: state
schedule: {poll: "0 */2 * * *", jitter: 25%, full: 12h}
sources:
- name: corp
  type: active-directory
  servers: [ldaps://dc1, "ldap://[::1]:3890"]
  start_tls: false
  allow_plaintext: true
  ca_file: ca.pem
  bind: {method: simple, user: 'CORP\svc', password_file: credential:ad-password}
  bases: ["ou=a,dc=x", "ou=b,dc=x"]
  filter: (&(objectClass=user)(!(cn=a\28b\29)))
  addresses: [proxyAddresses, otherMailbox]
  fallback: []
  sender_authentication: keep
  system_mailboxes: keep
  incremental: off
  connect_timeout: 7s
  read_timeout: 2m
  page_size: 100000
guard: {max_removals: 4294967296, max_removal_percent: 2.5, min_recipients: 7, canaries: [a@b.example]}
removal: {answer: defer}
rollout: {wait: 5m, parallel: 2}
history: {keep: 5, age: 30d}
notify: {command: /bin/alert "a b", failing_polls: 9, behind: 1h}
metrics_file: m.prom
stop_timeout: 1h
)");
  CHECK(faults_in(loaded) ==
        Lines{"warning 8: sources[0].allow_plaintext: the password of the simple bind crosses the "
              "network in clear text; use ldaps:// or start_tls: true"});
  const auto& config = loaded.config;
  CHECK(config.state_dir == "/etc/rcptsync/state");
  CHECK(std::get<Cron>(config.schedule.poll).text == "0 */2 * * *");
  CHECK(config.schedule.jitter == 0.25);
  CHECK(config.schedule.full == Seconds{43200});
  const auto& source = config.sources.at(0);
  CHECK(source.name == "corp");
  CHECK(source.type == SourceType::active_directory);
  CHECK(source.line == 4);
  const auto& ldap = std::get<LdapSource>(source.details);
  REQUIRE(ldap.servers.size() == 2);
  CHECK(ldap.servers[1].host == "::1");
  CHECK(ldap.servers[1].port == 3890);
  CHECK_FALSE(ldap.start_tls);
  CHECK(ldap.allow_plaintext);
  CHECK(ldap.ca_file == "/etc/rcptsync/ca.pem");
  CHECK(ldap.bind.method == BindMethod::simple);
  CHECK(ldap.bind.user == "CORP\\svc");
  CHECK(ldap.bind.line == 10);
  REQUIRE(ldap.bind.password);
  CHECK(ldap.bind.password->kind == SecretRef::Kind::credential);
  CHECK(ldap.bind.password->name == "ad-password");
  CHECK(ldap.bind.password->line == 10);
  CHECK(ldap.bases == Lines{"ou=a,dc=x", "ou=b,dc=x"});
  CHECK(ldap.filter == R"((&(objectClass=user)(!(cn=a\28b\29))))");
  CHECK(ldap.addresses == Lines{"proxyAddresses", "otherMailbox"});
  CHECK(ldap.fallback.empty());
  CHECK_FALSE(ldap.drop_sender_authentication);
  CHECK_FALSE(ldap.drop_system_mailboxes);
  CHECK_FALSE(ldap.incremental);
  CHECK(ldap.connect_timeout == Seconds{7});
  CHECK(ldap.read_timeout == Seconds{120});
  CHECK(ldap.page_size == 100'000);
  CHECK(config.guard.max_removals == 4294967296);
  CHECK(config.guard.max_removal_percent == 2.5);
  CHECK(config.guard.min_recipients == 7);
  CHECK(config.guard.canaries == Lines{"a@b.example"});
  CHECK(config.removal.answer == Removal::Answer::defer);
  CHECK(config.rollout.wait == Seconds{300});
  CHECK(config.rollout.parallel == 2);
  CHECK(config.history.keep == 5);
  CHECK(config.history.age == Seconds{30 * 86400});
  CHECK(config.notify.command == Lines{"/bin/alert", "a b"});
  CHECK(config.metrics_file == "/etc/rcptsync/m.prom");
  CHECK(config.notify.failing_polls == 9);
  CHECK(config.notify.behind == Seconds{3600});
  CHECK(config.stop_timeout == Seconds{3600});
}

TEST_CASE("every key of a target is read, and its defaults come from target_defaults") {
  const auto loaded = load_here(least + R"(target_defaults:
  user: push
  port: 2222
  key_file: [keys/new, "credential:old"]
  known_hosts: hosts
  map_type: lmdb
targets:
- name: mx1
  host: mx1.example.net
- name: mx2
  host: 2001:db8::2
  user: other
  port: 22
  key_file: /k
  known_hosts: /h
  enabled: false
  mode: scp
  path: /srv/relay
  format: list
  map_type: cdb
  rebuild: "install {new} {table} && echo {digest}"
  postfix_config: /etc/postfix-out
  host_key: [SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU]
  source_address: 192.0.2.7
  domains: [example.net]
  verify: {sample: 0, every: 1d}
  timeout: 5m
)");
  CHECK(faults_in(loaded) == Lines{});
  const auto& first = loaded.config.targets.at(0);
  CHECK(first.user == "push");
  CHECK(first.port == 2222);
  REQUIRE(first.keys.size() == 2);
  CHECK(first.keys[0].name == "/etc/rcptsync/keys/new");
  CHECK(first.keys[1].kind == SecretRef::Kind::credential);
  CHECK(first.known_hosts == "/etc/rcptsync/hosts");
  CHECK(first.map_type == MapType::lmdb);
  CHECK(first.line == 14);
  const auto& second = loaded.config.targets.at(1);
  CHECK(second.host == "2001:db8::2");
  CHECK(second.user == "other");
  CHECK(second.port == 22);
  REQUIRE(second.keys.size() == 1);
  CHECK(second.keys[0].name == "/k");
  CHECK(second.known_hosts == "/h");
  CHECK_FALSE(second.enabled);
  CHECK(second.path == "/srv/relay");
  CHECK(second.format == Format::list);
  CHECK(second.map_type == MapType::cdb);
  CHECK(second.rebuild == "install {new} {table} && echo {digest}");
  CHECK(second.postfix_config == "/etc/postfix-out");
  CHECK(second.host_keys == Lines{"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"});
  CHECK(second.source_address == "192.0.2.7");
  CHECK(second.domains == Lines{"example.net"});
  CHECK(second.verify.sample == 0);
  CHECK(second.verify.every == Seconds{86400});
  CHECK(second.timeout == Seconds{300});
}

TEST_CASE("recipients: always stands in every domain, static keeps its reject text") {
  const auto loaded = load_here(least + R"(recipients:
  domains: [example.com, example.net]
  exclude: ["a@example.com", "@lab.example.com", "/^test-/"]
  always: [postmaster, abuse]
  static: ["@partner.example", "gone@example.com 550 5.1.1 Has left", '"a b"@example.com']
)");
  CHECK(faults_in(loaded) == Lines{});
  const auto& recipients = loaded.config.recipients;
  CHECK(recipients.domains == Lines{"example.com", "example.net"});
  REQUIRE(recipients.exclude.size() == 3);
  CHECK(recipients.exclude[0].kind == Exclusion::Kind::address);
  CHECK(recipients.exclude[1].kind == Exclusion::Kind::domain);
  CHECK(recipients.exclude[1].text == "lab.example.com");
  CHECK(recipients.exclude[2].kind == Exclusion::Kind::regex);
  CHECK(recipients.exclude[2].text == "^test-");
  CHECK(recipients.exclude[2].line == 9);
  CHECK(recipients.exclude[2].file == "/etc/rcptsync/rcptsync.yaml");
  Lines entries;
  for (const auto& entry : recipients.entries)
    entries.push_back(entry.address + "|" + entry.reject + (entry.from_always ? "|always" : ""));
  CHECK(entries == Lines{"postmaster@example.com||always", "abuse@example.com||always",
                         "postmaster@example.net||always", "abuse@example.net||always",
                         "@partner.example|", "gone@example.com|550 5.1.1 Has left",
                         "\"a b\"@example.com|"});
  CHECK(recipients.entries[0].line == 10);
  CHECK(recipients.entries[5].line == 11);
}

TEST_CASE("what is not there yet is read and checked before it is refused") {
  const auto loaded = load_here(R"(sources:
- {name: a, type: table, path: /a}
- {name: b, type: table, path: /b}
- {name: c, type: table, path: /c}
- name: dns
  type: ldap
  domain: corp.example.com
  filter: (mail=*)
  bind: {method: gssapi, principal: svc@CORP, keytab: credential:keytab}
- name: cert
  type: ldap
  servers: [ldaps://x]
  filter: (mail=*)
  bind: {method: external, cert_file: c.pem, key_file: k.pem}
removal: {grace: 1d}
targets:
- {name: a, host: a, mode: receive}
- {name: b, host: b, format: exim, verify: {smtp: "[::1]:26"}}
rollout: {canary: [a]}
notify: {command: /bin/alert}
metrics_file: m.prom
)");
  CHECK(faults_in(loaded) ==
        Lines{"17: targets[0].mode: mode: receive is not in this version yet; write mode: scp",
              "18: targets[1].format: format: exim is not in this version yet; write format: "
              "postfix or list",
              "18: targets[1].verify.smtp: smtp is not in this version yet; remove the key",
              "19: rollout.canary: canary is not in this version yet; write canary: []"});
  const auto& config = loaded.config;
  const auto& dns = std::get<LdapSource>(config.sources.at(3).details);
  CHECK(dns.domain == "corp.example.com");
  CHECK(dns.bind.principal == "svc@CORP");
  CHECK(dns.bind.keytab->name == "keytab");
  const auto& cert = std::get<LdapSource>(config.sources.at(4).details);
  CHECK(cert.bind.cert->name == "/etc/rcptsync/c.pem");
  CHECK(cert.bind.key->name == "/etc/rcptsync/k.pem");
  CHECK(config.removal.grace == Seconds{86400});
  CHECK(config.targets.at(0).mode == Mode::receive);
  CHECK(config.targets.at(0).path.empty());
  CHECK(config.targets.at(1).format == Format::exim);
  CHECK(config.targets.at(1).verify.smtp_host == "::1");
  CHECK(config.targets.at(1).verify.smtp_port == 26);
  CHECK(config.rollout.canary == Lines{"a"});
}

TEST_CASE("every key of a source that reads files is read") {
  const auto loaded = load_here(R"(sources:
- {name: unix, type: accounts, passwd: /p, aliases: a, domains: [example.com], min_uid: 500, max_uid: 900, shells: login}
- {name: all, type: accounts, domains: [example.com]}
- {name: list, type: table, path: list.txt}
- {name: csv, type: table, path: /srv/x.csv, format: csv, encoding: utf-16, allow_empty: true}
- {name: old, type: exchange55, path: /srv/old.txt, encoding: windows-1252, allow_empty: true}
)");
  CHECK(faults_in(loaded) == Lines{});
  const auto& sources = loaded.config.sources;
  const auto& accounts = std::get<AccountsSource>(sources.at(0).details);
  CHECK(accounts.passwd == "/p");
  CHECK(accounts.aliases == "/etc/rcptsync/a");
  CHECK(accounts.domains == Lines{"example.com"});
  CHECK(accounts.min_uid == 500);
  CHECK(accounts.max_uid == 900);
  CHECK_FALSE(accounts.any_shell);
  const auto& all = std::get<AccountsSource>(sources.at(1).details);
  CHECK(all.passwd == "/etc/passwd");
  CHECK(all.aliases.empty());
  CHECK(all.min_uid == 1000);
  CHECK(all.max_uid == 4294967295);
  CHECK(all.any_shell);
  const auto& list = std::get<FileSource>(sources.at(2).details);
  CHECK(list.path == "/etc/rcptsync/list.txt");
  CHECK(list.format == TableFormat::automatic);
  CHECK(list.encoding == Encoding::automatic);
  CHECK_FALSE(list.allow_empty);
  const auto& csv = std::get<FileSource>(sources.at(3).details);
  CHECK(csv.format == TableFormat::csv);
  CHECK(csv.encoding == Encoding::utf_16);
  CHECK(csv.allow_empty);
  const auto& old = std::get<FileSource>(sources.at(4).details);
  CHECK(old.encoding == Encoding::windows_1252);
  CHECK(old.allow_empty);

  CHECK(faults_of(R"(sources:
- {name: a, type: table, path: /a, format: xml}
- {name: b, type: exchange55, path: /b, format: csv}
- {name: c, type: accounts, domains: [example.com], min_uid: 2000, max_uid: 1000}
- {name: d, type: table}
)")
            .size() == 4);
}

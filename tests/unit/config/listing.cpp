// The two texts that administrators start from: the documented listing and the installed example.
#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync::config;

namespace {

const std::string listing = R"yaml(state_dir: /var/lib/rcptsync      # =

schedule:
  poll: 5m                        # = a duration, or a cron expression: "*/10 7-19 * * mon-fri"
  jitter: 10%                     # =
  full: 24h                       # = incremental sources are read in full at least this often

sources:
  - name: corp
    type: active-directory        # or ldap, accounts, table, exchange55
    servers: [ldaps://dc1.corp.example.com, "ldap://dc2.corp.example.com:389"]   # tried in order
    # domain: corp.example.com    # instead of servers: DNS SRV _ldap._tcp.dc._msdcs
    start_tls: true               # = for ldap:// servers; false only with allow_plaintext: true
    ca_file: /etc/ssl/certs/corp-ca.pem
    bind: {method: simple, user: svc-rcptsync@corp.example.com, password_file: credential:ad-password}
    # bind: {method: gssapi, principal: svc-rcptsync@CORP.EXAMPLE.COM, keytab: credential:keytab}
    # bind: {method: anonymous}   |   {method: external, cert_file: …, key_file: …}
    bases: ["dc=corp,dc=example,dc=com"]     # default: the server's defaultNamingContext
    filter: "(|(proxyAddresses=*)(mail=*))"  # = for active-directory; ldap must name one
    addresses: [proxyAddresses]   # = attributes holding addresses; only smtp:/SMTP: values of prefixed ones
    fallback: [mail]              # = used for an object that has none of the above
    sender_authentication: drop   # = drop | keep objects with msExchRequireAuthToSendTo=TRUE
    incremental: auto             # = auto | off
    connect_timeout: 5s           # =
    read_timeout: 60s             # = no answer for this long ends the poll
    page_size: 1000               # =
  - {name: unix, type: accounts, passwd: /etc/passwd, aliases: /etc/aliases, domains: [example.com], min_uid: 1000}
  - {name: by-hand, type: table, path: /etc/rcptsync/recipients.txt}     # address per line, "address OK", "address 550 text", "alias: SMTP:address"
  - {name: old-site, type: exchange55, path: /srv/import/exchusers.txt}  # ADMIN.EXE export: tab columns, % between values, " quotes

recipients:
  domains: [example.com, example.net]         # only these; leave out for all
  exclude: ["ceo-private@example.com", "@lab.example.com", "/^test-/", "file:exclude.txt"]
  always: [postmaster, abuse]                 # in every domain above, default none; recommended, because Postfix does not exempt them in relay domains
  static: ["@partner.example", "gone@example.com 550 5.1.1 Has left the company"]
  # Order: syntax → domains → exclude judge what sources say; always and static are added after them. A static reject text beats every other word on that
  # address; a reject line of a table source never beats another source's OK. @domain with a reject text is refused: access(5) has no such key.

guard:
  max_removals: 500               # = more than this, or this share, in one change: held, the old table stays in force
  max_removal_percent: 5          # = of the whole, and of any one domain with 20 recipients or more; a share, and the vanishing of a domain, class or source, count from 10 removals on
  min_recipients: 1               # = like the canaries judged on what sources supply, not on always and static
  canaries: [ceo@example.com]     # default none; a change that loses one is held
removal:
  grace: 0s                       # = a vanished address stays this long …
  answer: keep                    # = … accepted (keep), or answered 450 by the target (defer)

target_defaults:
  user: rcptsync                  # =
  port: 22                        # =
  key_file: credential:ssh-key    # = or a list, for rotation; tried in order
  known_hosts: /etc/rcptsync/known_hosts      # =
targets:
  - name: mx2
    host: mx2.example.net
    enabled: true                 # =
    mode: scp                     # = scp: SCP upload, then the rebuild command; needs only sshd, scp and a shell there
                                  # receive: one exec channel to rcptsync-receive, the key's forced command; best for a DMZ
    path: /var/lib/rcptsync-target/relay_recipients    # = scp mode; in receive mode the target's own settings decide
    format: postfix               # = postfix | postfix-access | exim | sendmail | opensmtpd | list
    map_type: auto                # = postfix formats: auto (asks the target's postconf) | lmdb | cdb | hash | texthash
    rebuild: ""                   # scp mode: a command of yours instead of the built-in recipe; {new} {table} {digest} are replaced, shell-quoted
    postfix_config: /etc/postfix  # = the instance's configuration folder there; map types and main.cf are asked with it. A table that main.cf does not name is only a warning
    host_key: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"  # or a list; a pin instead of known_hosts, whatever the key type: each type the server has is tried
    source_address: 192.0.2.7     # optional; what the target's from= expects
    domains: [example.net]        # this target gets only these; default all
    verify: {smtp: "mx2.example.net:25", sample: 3, every: 1h}   # smtp default off
    timeout: 60s                  # of one push; = a target that fails is tried again with backoff (5s doubling to 15m, reset by a new generation), the others never wait
rollout: {canary: [], wait: 0s, parallel: 16}   # = canary targets must prove a new table before the others get it
history: {keep: 1000, age: 400d}                # =
notify: {command: "", failing_polls: 3, behind: 15m}   # = a program of yours gets each alert as JSON on stdin
metrics_file: /var/lib/rcptsync/metrics.prom    # optional, Prometheus text format
stop_timeout: 10s               # =
)yaml";

}  // namespace

TEST_CASE("the documented listing loads, apart from what is not there yet") {
  const Folder folder;
  folder.write("exclude.txt", "x@example.com\n");
  const auto loaded = load_text(listing, folder / "rcptsync.yaml");
  Lines keys;
  for (const auto& fault : loaded.faults) {
    CHECK(fault.what.find("is not in this version yet") != std::string::npos);
    keys.push_back(std::to_string(fault.line) + " " + fault.key);
  }
  CHECK(keys == Lines{"67 targets[0].verify.smtp"});
  CHECK(loaded.config.sources.size() == 4);
  CHECK(loaded.config.targets.size() == 1);
  CHECK(loaded.config.recipients.exclude.size() == 4);
}

TEST_CASE("the installed example loads without a word") {
  const auto loaded = load(RCPTSYNC_EXAMPLE);
  CHECK(faults_in(loaded) == Lines{});
  CHECK(loaded.config.targets.size() == 2);
}

TEST_CASE("the installed example still loads with every default written out") {
  std::ifstream in(RCPTSYNC_EXAMPLE);
  std::string text;
  int shown = 0;
  for (std::string line; std::getline(in, line);) {
    const auto hash = line.find('#');
    const bool key = hash != std::string::npos && hash + 1 < line.size() && line[hash + 1] >= 'a' &&
                     line[hash + 1] <= 'z' && line.find_first_not_of(' ') == hash;
    // A pin cannot be invented, and the other two stand for files and people that are not there.
    if (key && line.find("host_key") == std::string::npos &&
        line.find("exclude.txt") == std::string::npos) {
      line.erase(hash, 1);
      ++shown;
    }
    text += line + "\n";
  }
  CHECK(shown > 20);
  CHECK(faults_of(text) == Lines{});
}

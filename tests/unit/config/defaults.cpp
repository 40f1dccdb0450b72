#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync::config;

TEST_CASE("the least configuration has the documented defaults") {
  const auto loaded = load_here(least + "targets:\n- {name: mx1, host: mx1.example.net}\n");
  CHECK(faults_in(loaded) == Lines{});
  REQUIRE(loaded.usable());
  const auto& config = loaded.config;
  CHECK(config.file == "/etc/rcptsync/rcptsync.yaml");
  CHECK(config.state_dir == "/var/lib/rcptsync");
  CHECK(std::get<Seconds>(config.schedule.poll) == Seconds{300});
  CHECK(config.schedule.jitter == 0.10);
  CHECK(config.schedule.full == Seconds{86400});
  CHECK(config.guard.max_removals == 500);
  CHECK(config.guard.max_removal_percent == 5);
  CHECK(config.guard.min_recipients == 1);
  CHECK(config.removal.grace == Seconds{0});
  CHECK(config.removal.answer == Removal::Answer::keep);
  CHECK(config.rollout.parallel == 16);
  CHECK(config.history.keep == 1000);
  CHECK(config.history.age == Seconds{400 * 86400});
  CHECK(config.stop_timeout == Seconds{10});
  CHECK(config.metrics_file.empty());

  const auto& ldap = std::get<LdapSource>(config.sources.at(0).details);
  CHECK(ldap.start_tls);
  CHECK_FALSE(ldap.allow_plaintext);
  CHECK(ldap.addresses == Lines{"proxyAddresses"});
  CHECK(ldap.fallback == Lines{"mail"});
  CHECK(ldap.drop_sender_authentication);
  CHECK(ldap.drop_system_mailboxes);
  CHECK(ldap.incremental);
  CHECK(ldap.connect_timeout == Seconds{5});
  CHECK(ldap.read_timeout == Seconds{60});
  CHECK(ldap.page_size == 1000);

  const auto& target = config.targets.at(0);
  CHECK(target.user == "rcptsync");
  CHECK(target.port == 22);
  CHECK(target.enabled);
  CHECK(target.mode == Mode::scp);
  CHECK(target.path == "/var/lib/rcptsync-target/relay_recipients");
  CHECK(target.format == Format::postfix);
  CHECK(target.map_type == MapType::automatic);
  CHECK(target.rebuild.empty());
  CHECK(target.postfix_config == "/etc/postfix");
  CHECK(target.known_hosts == "/etc/rcptsync/known_hosts");
  REQUIRE(target.keys.size() == 1);
  CHECK(target.keys[0].kind == SecretRef::Kind::credential);
  CHECK(target.keys[0].name == "ssh-key");
  CHECK(target.verify.sample == 3);
  CHECK(target.verify.every == Seconds{3600});
  CHECK(target.verify.smtp_host.empty());
  CHECK(target.timeout == Seconds{60});
}

TEST_CASE("active-directory has a filter of its own") {
  const auto loaded = load_here(R"(sources:
- name: corp
  type: active-directory
  servers: [ldaps://dc1]
)");
  CHECK(std::get<LdapSource>(loaded.config.sources.at(0).details).filter ==
        "(|(proxyAddresses=*)(mail=*))");
  CHECK(loaded.usable());
  REQUIRE(faults_in(loaded).size() == 1);
  CHECK(faults_in(loaded)[0].find("warning 2: sources[0].bind: is missing") == 0);
}

TEST_CASE("without targets there is a warning and nothing more") {
  const auto loaded = load_here(least);
  CHECK(loaded.usable());
  REQUIRE(loaded.faults.size() == 1);
  CHECK(loaded.faults[0].warning);
}

#include "source/server_list.hpp"

#include <algorithm>
#include <map>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

std::vector<std::string> targets(const std::vector<SrvRecord>& records) {
  std::vector<std::string> names;
  for (const auto& record : records) names.push_back(record.target);
  return names;
}

std::vector<std::string> uris(const ServerList& list) {
  std::vector<std::string> names;
  for (const auto& server : list.servers) names.push_back(server.uri);
  return names;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("the service that is asked for is that of a domain controller, or of any LDAP server") {
  CHECK(service_name(config::SourceType::active_directory, "corp.example.com") ==
        "_ldap._tcp.dc._msdcs.corp.example.com");
  CHECK(service_name(config::SourceType::ldap, "example.com") == "_ldap._tcp.example.com");
}

TEST_CASE("a lower priority always comes first") {
  const std::vector<SrvRecord> records{
      {20, 65535, 389, "late"}, {10, 0, 389, "first"}, {15, 1, 389, "second"}};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SeededRandom random(seed);
    CHECK(targets(in_order(records, random)) == Lines{"first", "second", "late"});
  }
}

TEST_CASE("within a priority the weights are chances, and zero is a small one") {
  const std::vector<SrvRecord> records{
      {0, 60, 389, "heavy"}, {0, 30, 389, "light"}, {0, 10, 389, "lighter"}, {0, 0, 389, "none"}};
  SeededRandom random(7);
  std::map<std::string, int> first;
  constexpr int rounds = 10000;
  for (int i = 0; i < rounds; ++i) {
    auto names = targets(in_order(records, random));
    ++first[names.front()];
    std::sort(names.begin(), names.end());
    REQUIRE(names == Lines{"heavy", "light", "lighter", "none"});
  }
  CHECK(first["heavy"] > 5600);
  CHECK(first["heavy"] < 6300);
  CHECK(first["light"] > 2600);
  CHECK(first["lighter"] > 700);
  CHECK(first["none"] > 0);
  CHECK(first["none"] < 300);
}

TEST_CASE("records without any weight are all tried, in any order") {
  const std::vector<SrvRecord> records{{0, 0, 389, "a"}, {0, 0, 389, "b"}, {0, 0, 389, "c"}};
  SeededRandom random(1);
  auto names = targets(in_order(records, random));
  std::sort(names.begin(), names.end());
  CHECK(names == Lines{"a", "b", "c"});
  CHECK(in_order({}, random).empty());
}

TEST_CASE("a record becomes a server with StartTLS on its own port, once") {
  const auto list = servers_from({{0, 0, 389, "DC1.Corp.example"},
                                  {0, 0, 3389, "dc2.corp.example."},
                                  {1, 0, 389, "dc1.corp.example"}},
                                 "corp.EXAMPLE");
  REQUIRE(list);
  CHECK(uris(*list) == Lines{"ldap://dc1.corp.example:389", "ldap://dc2.corp.example:3389"});
  CHECK_FALSE(list->servers[0].ldaps);
  CHECK(list->servers[1].host == "dc2.corp.example");
  CHECK(list->servers[1].port == 3389);
  CHECK(list->warnings.empty());
}

TEST_CASE("a name outside the domain is refused, with words") {
  const auto list = servers_from({{0, 0, 389, "dc.evil.example"},
                                  {0, 0, 389, "evilcorp.example"},
                                  {0, 0, 389, "dc1.corp.example"},
                                  {0, 0, 389, "10.0.0.1"},
                                  {0, 0, 0, "dc3.corp.example"},
                                  {0, 0, 389, "dc 4\n.corp.example"}},
                                 "corp.example");
  REQUIRE(list);
  CHECK(uris(*list) == Lines{"ldap://dc1.corp.example:389"});
  REQUIRE(list->warnings.size() == 5);
  CHECK(list->warnings[0].find("dc.evil.example") != std::string::npos);
  CHECK(list->warnings[0].find("does not lie within") != std::string::npos);
  CHECK(list->warnings[4].find('\n') == std::string::npos);

  const auto none = servers_from({{0, 0, 389, "dc.evil.example"}}, "corp.example");
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Errc::untrusted);
}

TEST_CASE("a single dot means that the service is not offered") {
  for (const auto* root : {".", ""}) {
    const auto list = servers_from({{0, 0, 0, root}}, "corp.example");
    REQUIRE_FALSE(list);
    CHECK(list.error().code == Errc::not_found);
    CHECK(list.error().message.find("offers no LDAP") != std::string::npos);
  }
}

TEST_CASE("listed servers keep their order, the preferred one comes first") {
  config::LdapSource settings;
  for (const auto* host : {"a", "b", "c"})
    settings.servers.push_back({.uri = std::string("ldaps://") + host, .host = host});
  const auto order = [&](std::string_view preferred) {
    return uris(*servers_of(settings, config::SourceType::ldap, preferred, {}));
  };
  CHECK(order("") == Lines{"ldaps://a", "ldaps://b", "ldaps://c"});
  CHECK(order("ldaps://c") == Lines{"ldaps://c", "ldaps://a", "ldaps://b"});
  CHECK(order("ldaps://gone") == Lines{"ldaps://a", "ldaps://b", "ldaps://c"});
}

TEST_CASE("a stop that was requested before ends the look-up") {
  config::LdapSource settings;
  settings.domain = "corp.example";
  std::stop_source stop;
  stop.request_stop();
  const auto list = servers_of(settings, config::SourceType::ldap, "", stop.get_token());
  REQUIRE_FALSE(list);
  CHECK(list.error().code == Errc::cancelled);
}

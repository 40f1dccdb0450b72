#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "catch.hpp"
#include "source/source.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

struct File {
  File(const std::string& text, mode_t mode)
      : path(std::filesystem::temp_directory_path() /
             ("rcptsync-source-" + std::to_string(::getpid()))) {
    std::ofstream(path) << text;
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
  }
  ~File() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

config::LdapSource simple(const std::filesystem::path& password) {
  config::LdapSource ldap;
  ldap.servers = {{.uri = "ldaps://dc1", .host = "dc1", .port = 636, .ldaps = true}};
  ldap.filter = "(mail=*)";
  ldap.bind.method = config::BindMethod::simple;
  ldap.bind.user = "reader";
  ldap.bind.password = config::SecretRef{.kind = config::SecretRef::Kind::file, .name = password};
  return ldap;
}

config::Source source_of(config::LdapSource ldap) {
  return {.name = "corp", .type = config::SourceType::ldap, .details = std::move(ldap)};
}

}  // namespace

TEST_CASE("a good LDAP source has no fault") {
  const File password("secret\n", 0600);
  const auto source = source_of(simple(password.path));
  CHECK(check_source(source).empty());
  CHECK(create_source(source));
}

TEST_CASE("each fault that needs no network is found by itself") {
  const File password("secret\n", 0600);
  const auto faults = [&](auto change) {
    auto ldap = simple(password.path);
    change(ldap);
    return check_source(source_of(ldap));
  };
  CHECK(faults([](auto& ldap) { ldap.filter = "(mail=*"; }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.filter = "mail=*)("; }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.ca_file = "/etc/passwd"; }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.ca_file = "/does/not/exist"; }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.bind.password->name = "/does/not/exist"; }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.bind.user.clear(); }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.bind.password.reset(); }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.bind.method = config::BindMethod::gssapi; }).size() == 1);
  CHECK(faults([](auto& ldap) { ldap.servers.clear(); }).size() == 1);
  CHECK(faults([](auto& ldap) {
          ldap.servers.clear();
          ldap.domain = "example.com";
        }).empty());
  CHECK(faults([](auto& ldap) {
          ldap.bind.password->name = "/does/not/exist";
          ldap.filter = "(";
        }).size() == 2);
}

TEST_CASE("a password that others can read is a fault, and its text is not shown") {
  const File password("secret\n", 0644);
  const auto faults = check_source(source_of(simple(password.path)));
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].find("chmod") != std::string::npos);
  CHECK(faults[0].find("secret\n") == std::string::npos);
}

TEST_CASE("what this version cannot read is refused, not ignored") {
  auto ldap = simple("/nowhere");
  for (const auto method : {config::BindMethod::external, config::BindMethod::gssapi}) {
    ldap.bind.method = method;
    REQUIRE_FALSE(create_source(source_of(ldap)));
  }
}

TEST_CASE("of a source that reads files every fault is found that a read would find") {
  using config::SourceType;
  const File good("ada@example.com\n", 0600);
  const auto faults = [](SourceType type, auto details) {
    return check_source({.name = "x", .type = type, .details = std::move(details)});
  };
  const config::FileSource table{.path = good.path};
  CHECK(faults(SourceType::table, table).empty());
  CHECK(create_source({.name = "x", .type = SourceType::table, .details = table}));
  const auto other = faults(SourceType::exchange55, table);
  REQUIRE(other.size() == 1);
  CHECK(other[0].find("path: " + good.path.native() + ": line 1: no header") == 0);
  CHECK(faults(SourceType::table, config::FileSource{.path = "/does/not/exist"}).size() == 1);
  config::AccountsSource accounts;
  accounts.passwd = good.path;
  accounts.aliases = "/does/not/exist";
  accounts.domains = {"example.com"};
  const auto both = faults(SourceType::accounts, accounts);
  REQUIRE(both.size() == 2);
  CHECK(both[0].find("passwd: ") == 0);
  CHECK(both[1].find("aliases: ") == 0);
}

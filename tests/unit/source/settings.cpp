// Which settings count as another content of a source, and which do not.
#include "source/settings.hpp"

#include <functional>
#include <set>

#include "catch.hpp"

using namespace rcptsync;
using source::settings_fingerprint;

namespace {

config::Source directory() {
  config::Source source;
  source.name = "corp";
  config::LdapSource details;
  details.servers = {{"ldaps://dc1", "dc1", 636, true}};
  details.bases = {"dc=example,dc=com"};
  details.filter = "(mail=*)";
  source.details = details;
  return source;
}

template <class Details>
using Edit = std::function<void(Details&)>;

/// Every edit gives another fingerprint, and each a different one.
template <class Details>
void check_each_counts(const config::Source& source, const std::vector<Edit<Details>>& edits) {
  std::set<Digest> seen{settings_fingerprint(source)};
  for (std::size_t i = 0; i < edits.size(); ++i) {
    auto edited = source;
    edits[i](std::get<Details>(edited.details));
    CAPTURE(i);
    CHECK(seen.insert(settings_fingerprint(edited)).second);
  }
}

}  // namespace

TEST_CASE("what decides the content of a directory is in its fingerprint") {
  using Details = config::LdapSource;
  check_each_counts<Details>(
      directory(), {[](Details& details) { details.bases.push_back("dc=example,dc=net"); },
                    [](Details& details) { details.filter = "(mail=a*)"; },
                    [](Details& details) { details.addresses = {"mail"}; },
                    [](Details& details) { details.fallback.clear(); },
                    [](Details& details) { details.drop_sender_authentication = false; },
                    [](Details& details) { details.drop_system_mailboxes = false; },
                    [](Details& details) { details.bind.user = "somebody@example.com"; },
                    [](Details& details) { details.domain = "example.com"; },
                    [](Details& details) { details.servers[0].uri = "ldaps://dc2"; }});
}

TEST_CASE("what decides only how a directory is read is not") {
  const auto before = settings_fingerprint(directory());
  auto source = directory();
  source.line = 99;
  source.name = "another";
  auto& details = std::get<config::LdapSource>(source.details);
  details.page_size = 7;
  details.read_timeout = config::Seconds(1);
  details.ca_file = "/etc/ssl/ca.pem";
  details.incremental = false;
  details.bind.password = config::SecretRef{config::SecretRef::Kind::credential, "secret", 3};
  CHECK(settings_fingerprint(source) == before);
}

TEST_CASE("what decides the content of files and accounts is in their fingerprints") {
  config::Source accounts;
  accounts.type = config::SourceType::accounts;
  accounts.details = config::AccountsSource{};
  using Accounts = config::AccountsSource;
  check_each_counts<Accounts>(accounts,
                              {[](Accounts& details) { details.passwd = "/srv/passwd"; },
                               [](Accounts& details) { details.aliases = "/etc/aliases"; },
                               [](Accounts& details) { details.domains = {"example.com"}; },
                               [](Accounts& details) { details.min_uid = 500; },
                               [](Accounts& details) { details.max_uid = 500; },
                               [](Accounts& details) { details.any_shell = false; }});
  config::Source table;
  table.type = config::SourceType::table;
  table.details = config::FileSource{"/srv/table"};
  using Table = config::FileSource;
  check_each_counts<Table>(table,
                           {[](Table& details) { details.path = "/srv/other"; },
                            [](Table& details) { details.format = config::TableFormat::csv; },
                            [](Table& details) { details.encoding = config::Encoding::utf_16; },
                            [](Table& details) { details.allow_empty = true; }});
  auto exchange = table;
  exchange.type = config::SourceType::exchange55;
  CHECK(settings_fingerprint(exchange) != settings_fingerprint(table));
}

// The section `sources`: names, types, and the types that read local files. Directories: ldap.cpp.
#include <fmt/format.h>

#include <map>
#include <string>

#include "config/mailbox.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_sources = 1000;
constexpr std::size_t max_domains = 100'000;

std::optional<std::string> domain(const Value& value) {
  return checked(value, check_domain);
}

AccountsSource read_accounts(Map& map, const std::filesystem::path& folder) {
  AccountsSource accounts;
  map.read("passwd", accounts.passwd, local_path(folder));
  map.read("aliases", accounts.aliases, local_path(folder));
  map.read("min_uid", accounts.min_uid, count<std::uint32_t>());
  map.read("max_uid", accounts.max_uid, count<std::uint32_t>());
  if (accounts.max_uid < accounts.min_uid)
    map.error("max_uid",
              fmt::format("is less than min_uid ({}); no account would be left", accounts.min_uid));
  map.read("shells", accounts.any_shell, choice<bool, 2>({"any", "login"}, {true, false}));
  map.require("domains", "[example.com]");
  map.read_list("domains", accounts.domains, max_domains, domain);
  map.refuse_empty("domains", "the list is empty; an account is a recipient only in a domain");
  return accounts;
}

FileSource read_file_source(Map& map, SourceType type, const std::filesystem::path& folder) {
  FileSource file;
  map.read_required("path", "/etc/rcptsync/recipients.txt", file.path, local_path(folder));
  if (type == SourceType::table)
    map.read("format", file.format,
             choice_of(TableFormat::automatic, TableFormat::list, TableFormat::postfix,
                       TableFormat::vbscript, TableFormat::csv, TableFormat::ldif));
  map.read(
      "encoding", file.encoding,
      choice_of(Encoding::automatic, Encoding::utf_8, Encoding::utf_16, Encoding::windows_1252));
  map.read("allow_empty", file.allow_empty, boolean);
  return file;
}

std::optional<Source> read_source(const Value& value, const std::filesystem::path& folder,
                                  std::map<std::string, int>& names) {
  Source source;
  source.line = value.line();
  Map map(value);
  unique_name(map, "corp", names, source.name);
  const auto type = map.require("type", "active-directory");
  const auto known =
      type ? choice_of(SourceType::active_directory, SourceType::ldap, SourceType::accounts,
                       SourceType::table, SourceType::exchange55)(*type)
           : std::nullopt;
  // Which keys belong there is known only with the type, so nothing is said about the others.
  if (!known) return {};
  source.type = *known;
  switch (source.type) {
    case SourceType::active_directory:
    case SourceType::ldap: {
      LdapSource ldap;
      read_ldap(map, source.type, folder, ldap);
      source.details = std::move(ldap);
      break;
    }
    case SourceType::accounts:
      source.details = read_accounts(map, folder);
      break;
    case SourceType::table:
    case SourceType::exchange55:
      source.details = read_file_source(map, source.type, folder);
      break;
  }
  map.finish();
  return source;
}

}  // namespace

void read_sources(const Value& value, const std::filesystem::path& folder,
                  std::vector<Source>& sources) {
  const auto items = value.list(max_sources);
  if (!items) return;
  if (items->empty()) value.error("at least one source is needed");
  std::map<std::string, int> names;
  for (const auto& item : *items) {
    auto source = read_source(item, folder, names);
    if (source) sources.push_back(*std::move(source));
  }
}

}  // namespace rcptsync::config

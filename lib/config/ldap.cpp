// Sources of type active-directory and ldap.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/escape.hpp"
#include "config/endpoint.hpp"
#include "config/mailbox.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_servers = 64;
constexpr std::size_t max_bases = 256;
constexpr std::size_t max_attributes = 64;
constexpr std::size_t max_filter = 8192;

// RFC 4515: in parentheses that match. Those inside a value are written \28 and \29.
std::optional<std::string> filter(const Value& value) {
  const auto text = value.text(max_filter);
  if (!text) return {};
  int depth = 0;
  bool whole = text->starts_with('(') && text->ends_with(')');
  for (std::size_t i = 0; i < text->size() && whole; ++i) {
    if ((*text)[i] == '(') ++depth;
    if ((*text)[i] == ')') --depth;
    whole = depth > 0 || i + 1 == text->size();
  }
  if (whole && depth == 0) return text;
  value.error(
      fmt::format("{} is no LDAP filter: its parentheses do not match; write for example "
                  "(mail=*)",
                  escape(*text, 120)));
  return {};
}

// RFC 4512 §2.5: a name or an OID, with options.
std::optional<std::string> attribute(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    const bool allowed = std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '.' || c == ';';
    });
    if (allowed && text.front() != '-' && text.front() != '.' && text.front() != ';') return {};
    return Error{Errc::invalid, fmt::format("{} is no attribute's name; write for example mail",
                                            escape(text, 60))};
  });
}

std::optional<std::string> base(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    if (text.find('=') != std::string_view::npos) return {};
    return Error{Errc::invalid,
                 fmt::format("{} is no distinguished name; write for example dc=example,dc=com",
                             escape(text, 80))};
  });
}

std::optional<std::string> domain(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    if (is_ip(text) || text.ends_with('.') || !parse_host(text))
      return Error{Errc::invalid,
                   fmt::format("{} is no DNS domain; write for example corp.example.com (an "
                               "internationalised one as xn--…)",
                               escape(text, 80))};
    return {};
  });
}

void read_servers(Map& map, LdapSource& ldap) {
  map.read_list("servers", ldap.servers, max_servers,
                [](const Value& value) { return parsed(value, parse_ldap_uri); });
  map.read("domain", ldap.domain, domain);
  if (map.has("servers") && map.has("domain"))
    map.error("domain", "stands beside servers; keep one of the two");
  if (!map.has("servers") && !map.has("domain"))
    map.error("servers", "is missing; write for example servers: [ldaps://dc1.example.com]");
  map.refuse_empty("servers", "the list is empty; write for example [ldaps://dc1.example.com]");
}

bool reads_global_catalogue(const LdapSource& ldap) {
  return std::any_of(ldap.servers.begin(), ldap.servers.end(),
                     [](const Server& server) { return server.global_catalogue(); });
}

// The global catalogue answers for every naming context of the forest, so `""` means all of it, and
// that is what is read if nothing is said.
void read_bases(Map& map, bool is_ad, LdapSource& ldap) {
  const bool forest = is_ad && reads_global_catalogue(ldap);
  if (forest && !std::all_of(ldap.servers.begin(), ldap.servers.end(),
                             [](const Server& server) { return server.global_catalogue(); }))
    map.error("servers",
              "some are global catalogues (ports 3268 and 3269) and some are not; they do not hold "
              "the same objects, so make two sources of them");
  if (forest) ldap.bases = {""};
  map.read_list(
      "bases", ldap.bases, max_bases, [forest](const Value& value) -> std::optional<std::string> {
        const bool empty = value.node().kind == Node::Kind::scalar && value.node().text.empty();
        return empty && forest ? std::string{} : base(value);
      });
}

// What a method wants of the connection.
void check_method(const Map& map, const LdapSource& ldap, bool clear) {
  if (ldap.bind.method == BindMethod::external && clear)
    map.error("start_tls",
              "false leaves ldap:// without TLS, in which the certificate of method external is "
              "shown; write true, or use ldaps://");
  if (ldap.bind.method != BindMethod::gssapi) return;
  for (const auto& server : ldap.servers)
    if (is_ip(server.host))
      map.error("servers",
                fmt::format("{} is an address, but Kerberos knows servers by name; write "
                            "its full name",
                            server.uri));
}

// A password or a directory in clear text needs a word of consent. Kerberos does without it: where
// there is no TLS it seals the connection.
void check_plaintext(const Map& map, const LdapSource& ldap) {
  const bool any_ldap =
      map.has("domain") || std::any_of(ldap.servers.begin(), ldap.servers.end(),
                                       [](const Server& server) { return !server.ldaps; });
  const bool clear = any_ldap && !ldap.start_tls;
  check_method(map, ldap, clear);
  const bool plaintext =
      clear && ldap.bind.method != BindMethod::gssapi && ldap.bind.method != BindMethod::external;
  if (plaintext && !ldap.allow_plaintext)
    map.error("start_tls",
              "false sends everything in clear text over ldap://; write true, use ldaps://, or, "
              "where no other way is left, add allow_plaintext: true");
  if (plaintext && ldap.allow_plaintext && ldap.bind.method == BindMethod::simple)
    map.warning("allow_plaintext",
                "the password of the simple bind crosses the network in clear text; use ldaps:// "
                "or start_tls: true");
  if (ldap.allow_plaintext && !plaintext)
    map.warning("allow_plaintext", "has no effect: every connection is encrypted; remove it");
}

}  // namespace

void read_ldap(Map& map, SourceType type, const std::filesystem::path& folder, LdapSource& ldap) {
  const bool is_ad = type == SourceType::active_directory;
  read_servers(map, ldap);
  map.read("start_tls", ldap.start_tls, boolean);
  map.read("allow_plaintext", ldap.allow_plaintext, boolean);
  map.read("ca_file", ldap.ca_file, local_path(folder));
  if (const auto bind = map.find("bind")) {
    read_bind(*bind, folder, ldap.bind);
  } else if (is_ad && !map.has("bind")) {
    map.warning("bind",
                "is missing: the bind is anonymous, and Active Directory lets nobody read so; "
                "write for example bind: {method: simple, user: …, password_file: …}");
  }
  read_bases(map, is_ad, ldap);
  if (is_ad) {
    ldap.filter = "(|(proxyAddresses=*)(mail=*))";
  } else {
    map.require("filter", "\"(mail=*)\"");
  }
  map.read("filter", ldap.filter, filter);
  map.read_list("addresses", ldap.addresses, max_attributes, attribute);
  map.refuse_empty("addresses", "the list is empty; write for example [proxyAddresses]");
  map.read_list("fallback", ldap.fallback, max_attributes, attribute);
  map.read("sender_authentication", ldap.drop_sender_authentication,
           choice<bool, 2>({"drop", "keep"}, {true, false}));
  map.read("system_mailboxes", ldap.drop_system_mailboxes,
           choice<bool, 2>({"drop", "keep"}, {true, false}));
  map.read("incremental", ldap.incremental, choice<bool, 2>({"auto", "off"}, {true, false}));
  // A catalogue is no naming context of its own, which DirSync needs.
  if (is_ad && reads_global_catalogue(ldap)) ldap.incremental = false;
  map.read("connect_timeout", ldap.connect_timeout, timeout);
  map.read("read_timeout", ldap.read_timeout, timeout);
  map.read("page_size", ldap.page_size, count<std::uint32_t>(1, 100'000));
  check_plaintext(map, ldap);
}

}  // namespace rcptsync::config

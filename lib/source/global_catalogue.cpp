#include "source/global_catalogue.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/escape.hpp"
#include "source/active_directory.hpp"
#include "source/ldap_search.hpp"

namespace rcptsync::source {
namespace {

constexpr std::string_view during = "asking the schema what the global catalogue holds";
// An attribute that every catalogue holds: where the schema does not show it as marked, the mark
// itself cannot be seen.
constexpr std::string_view witness = "objectclass";
// systemFlags: FLAG_ATTR_REQ_PARTIAL_SET_MEMBER, in the catalogue whatever the mark says
// ([MS-ADTS] 2.2.10).
constexpr std::uint32_t always_member = 2;

/// What the source needs of an attribute, for the message.
struct Need {
  std::string attribute;  ///< in lower case, without options
  std::string written;
  std::string_view because;
  std::string_view instead;
};

std::vector<Need> needs_of(const config::LdapSource& settings) {
  std::vector<Need> needs;
  const auto need = [&](std::string_view name, std::string_view because, std::string_view instead) {
    const auto plain = name.substr(0, name.find(';'));
    needs.push_back({ascii_lower(plain), std::string(plain), because, instead});
  };
  for (const auto& name : settings.addresses)
    need(name, "addresses would be missing", "take it out of addresses");
  for (const auto& name : settings.fallback)
    need(name, "addresses would be missing", "take it out of fallback");
  if (settings.drop_sender_authentication)
    need("msExchRequireAuthToSendTo", "nobody could tell what it decides",
         "write sender_authentication: keep");
  if (settings.drop_system_mailboxes)
    need("msExchRecipientTypeDetails", "nobody could tell what it decides",
         "write system_mailboxes: keep");
  for (const auto& name : filter_needs(settings.filter).attributes)
    need(name, "the filter would find nothing by it", "take it out of filter");
  return needs;
}

struct Membership {
  /// Attribute (name and OID, in lower case) → whether the catalogue holds it.
  std::map<std::string, bool, std::less<>> held;
  bool shows_the_mark = false;  ///< of the witness, which has it for certain
};

std::string schema_filter(const std::vector<Need>& needs) {
  std::string filter =
      fmt::format("(&(objectClass=attributeSchema)(|(lDAPDisplayName={})", witness);
  for (const auto& need : needs) {
    const bool oid = need.attribute.front() >= '0' && need.attribute.front() <= '9';
    filter += fmt::format("({}={})", oid ? "attributeID" : "lDAPDisplayName", need.attribute);
  }
  return filter + "))";
}

Result<Membership> read_membership(LdapConnection& connection, const config::LdapSource& settings,
                                   const std::vector<Need>& needs) {
  LdapSearcher searcher(connection, settings);
  const auto root = read_root_dse(searcher, connection, settings);
  if (!root) return root.error();
  if (root->schema_context.empty())
    return Error{Errc::not_found, "the server does not say where its schema is"};
  AttributeList attributes(
      {"lDAPDisplayName", "attributeID", "isMemberOfPartialAttributeSet", "systemFlags"});
  const auto filter = schema_filter(needs);
  Membership membership;
  const auto take = [&](LDAPMessage* message) -> Result<> {
    std::string name, oid;
    bool marked = false;
    bool always = false;
    const auto visited = visit_values(
        connection.handle(), message, [&](std::string_view attribute, std::string_view value) {
          if (ascii_equal(attribute, "lDAPDisplayName")) name = ascii_lower(value);
          if (ascii_equal(attribute, "attributeID")) oid = value;
          if (ascii_equal(attribute, "isMemberOfPartialAttributeSet") && value == "TRUE")
            marked = true;
          std::int64_t flags = 0;
          if (ascii_equal(attribute, "systemFlags") &&
              std::from_chars(value.data(), value.data() + value.size(), flags).ec == std::errc{} &&
              (static_cast<std::uint32_t>(flags) & always_member) != 0)
            always = true;
        });
    if (!visited) return visited.error();
    if (!name.empty()) membership.held[name] = marked || always;
    if (!oid.empty()) membership.held[oid] = marked || always;
    if (name == witness && marked) membership.shows_the_mark = true;
    return {};
  };
  const auto end = searcher.run({.base = root->schema_context,
                                 .scope = LDAP_SCOPE_ONELEVEL,
                                 .filter = filter.c_str(),
                                 .attributes = attributes.get()},
                                std::string(during), take);
  if (!end) return end.error();
  if (end->status.code != LDAP_SUCCESS)
    return explain_search(end->status, root->schema_context, settings);
  return membership;
}

/// The port of the same controller at which it answers for its own domain, with every attribute.
config::Server beside(const config::Server& catalogue) {
  auto server = catalogue;
  server.port = catalogue.ldaps ? 636 : 389;
  server.uri = fmt::format(
      "{}://{}:{}", server.ldaps ? "ldaps" : "ldap",
      server.host.find(':') == std::string::npos ? server.host : fmt::format("[{}]", server.host),
      server.port);
  return server;
}

Result<> judge(const std::vector<Need>& needs, const Membership& membership) {
  for (const auto& need : needs) {
    const auto found = membership.held.find(need.attribute);
    // What the schema does not know no object of the forest can have.
    if (found == membership.held.end() || found->second) continue;
    return Error{
        Errc::not_found,
        fmt::format(
            "the global catalogue does not hold {}, so {}; read the domain controllers (port "
            "636 or 389) instead, or {}, or have the schema's administrator add the "
            "attribute to the global catalogue",
            escape(need.written), need.because, need.instead)};
  }
  return {};
}

}  // namespace

Result<> check_global_catalogue(LdapConnection& connection, const config::LdapSource& settings,
                                const OpenBeside& open) {
  if (!connection.server().global_catalogue()) return {};
  const auto needs = needs_of(settings);
  auto membership = read_membership(connection, settings, needs);
  if (!membership) return membership.error();
  if (membership->shows_the_mark) return judge(needs, *membership);

  const auto server = beside(connection.server());
  const auto unknown = [&](const Error& why) {
    return Error{why.code,
                 fmt::format("the global catalogue does not show which attributes it holds, and at "
                             "{} the schema cannot be read: {}; let this host reach it there, or "
                             "read the domain controllers instead",
                             escape(server.uri), why.message)};
  };
  const auto other = open(server);
  if (!other) return unknown(other.error());
  membership = read_membership(**other, settings, needs);
  if (!membership) return unknown(membership.error());
  if (!membership->shows_the_mark)
    return unknown({Errc::permission, "the account may not read isMemberOfPartialAttributeSet"});
  return judge(needs, *membership);
}

}  // namespace rcptsync::source

#include "source/ldap_search.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"

namespace rcptsync::source {
namespace {

// Bounds on what a server can make us read; each is far beyond any directory.
constexpr std::uint64_t max_messages = 50'000'000;
constexpr std::size_t max_root_values = 10'000;

void free_cursor(BerElement* cursor) {
  ::ber_free(cursor, 0);
}
void free_values(berval* values) {
  ::ber_memfree(values);
}

}  // namespace

AttributeList::AttributeList(std::vector<std::string> names) : names_(std::move(names)) {
  for (auto& name : names_) pointers_.push_back(name.data());
  pointers_.push_back(nullptr);
}

Result<int> LdapSearcher::send(const Request& request, const std::string& during) {
  LDAPControl* controls[] = {request.control, request.second_control, nullptr};
  int operation = 0;
  const int code =
      ::ldap_search_ext(connection_.handle(), request.base.c_str(), request.scope, request.filter,
                        request.attributes, 0, request.control == nullptr ? nullptr : controls,
                        nullptr, nullptr, request.size_limit, &operation);
  if (code == LDAP_FILTER_ERROR) return explain_search({code, {}, {}}, request.base, settings_);
  if (code != LDAP_SUCCESS) return connection_.failure(code, during);
  return operation;
}

Result<LdapResult> LdapSearcher::run(const Request& request, const std::string& during,
                                     const OnEntry& on_entry) {
  const auto operation = send(request, during);
  if (!operation) return operation.error();
  for (;;) {
    auto message = connection_.next(*operation, during);
    if (!message) return message.error();
    if (++messages_ > max_messages)
      return Error{Errc::limit, fmt::format("{}: more than {} entries, which no directory has; "
                                            "the server does not come to an end",
                                            during, max_messages)};
    switch (::ldap_msgtype(message->get())) {
      case LDAP_RES_SEARCH_ENTRY:
        if (auto done = on_entry(message->get()); !done) {
          // Or libldap would collect the rest of the answer while the connection is used further.
          ::ldap_abandon_ext(connection_.handle(), *operation, nullptr, nullptr);
          return done.error();
        }
        break;
      case LDAP_RES_SEARCH_REFERENCE:
        ++references_;
        break;
      case LDAP_RES_INTERMEDIATE:
        break;
      case LDAP_RES_SEARCH_RESULT:
        return connection_.result(message->get());
      default:
        return Error{Errc::protocol,
                     fmt::format("{}: the server answers with something else", during)};
    }
  }
}

Result<std::string> visit_values(
    LDAP* ldap, LDAPMessage* message,
    const std::function<void(std::string_view name, std::string_view value)>& visit) {
  const Error no_entry{Errc::protocol, "the server sent an entry that is not LDAP"};
  BerElement* position = nullptr;
  berval dn{};
  if (::ldap_get_dn_ber(ldap, message, &position, &dn) != LDAP_SUCCESS) return no_entry;
  const Handle<BerElement, free_cursor> cursor(position);
  for (;;) {
    berval name{};
    berval* list = nullptr;
    const int code = ::ldap_get_attribute_ber(ldap, message, cursor.get(), &name, &list);
    const Handle<berval, free_values> values(list);
    if (code != LDAP_SUCCESS) return no_entry;
    if (name.bv_val == nullptr) return std::string(dn.bv_val, dn.bv_len);
    for (const auto* value = list; value != nullptr && value->bv_val != nullptr; ++value)
      visit({name.bv_val, name.bv_len}, {value->bv_val, value->bv_len});
  }
}

Result<RootDse> read_root_dse(LdapSearcher& searcher, LdapConnection& connection,
                              const config::LdapSource& settings) {
  AttributeList attributes({"defaultNamingContext", "namingContexts", "schemaNamingContext",
                            "dsServiceName", "highestCommittedUSN", "supportedControl",
                            "subschemaSubentry"});
  RootDse root;
  std::size_t count = 0;
  const std::string base;
  const auto end = searcher.run(
      {.base = base, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()},
      "reading the root DSE", [&](LDAPMessage* message) -> Result<> {
        auto read = visit_values(
            connection.handle(), message, [&](std::string_view name, std::string_view value) {
              if (value.empty() || ++count > max_root_values) return;
              const auto is = [&](std::string_view known) { return ascii_equal(name, known); };
              if (is("defaultNamingContext")) root.default_context = value;
              if (is("namingContexts")) root.contexts.emplace_back(value);
              if (is("schemaNamingContext")) root.schema_context = value;
              if (is("subschemaSubentry")) root.subschema = value;
              if (is("dsServiceName")) root.service_name = value;
              if (is("highestCommittedUSN")) root.committed_usn = value;
              if (is("supportedControl")) root.controls.emplace_back(value);
            });
        if (!read) return read.error();
        return {};
      });
  if (!end) return end.error();
  if (end->status.code != LDAP_SUCCESS) return explain_search(end->status, base, settings);
  return root;
}

Result<std::vector<std::string>> search_bases(const RootDse& root,
                                              const config::LdapSource& settings) {
  if (!settings.bases.empty()) return settings.bases;
  if (!root.default_context.empty()) return std::vector{root.default_context};
  if (!root.contexts.empty()) return root.contexts;
  return Error{Errc::not_found,
               "the server does not say which naming context is its own; name it in bases"};
}

}  // namespace rcptsync::source

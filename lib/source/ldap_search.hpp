// ldap_search — one search on one connection, its messages handed on one by one.
#pragma once

#include <ldap.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

inline constexpr const char* every_entry = "(objectClass=*)";

using LdapControl = Handle<LDAPControl, ldap_control_free>;

/// A list of attribute names as libldap wants it.
class AttributeList {
 public:
  explicit AttributeList(std::vector<std::string> names);
  AttributeList(const AttributeList&) = delete;
  AttributeList& operator=(const AttributeList&) = delete;
  [[nodiscard]] char** get() { return pointers_.data(); }

 private:
  std::vector<std::string> names_;
  std::vector<char*> pointers_;
};

class LdapSearcher {
 public:
  struct Request {
    const std::string& base;
    int scope = LDAP_SCOPE_SUBTREE;
    const char* filter = every_entry;
    char** attributes = nullptr;
    LDAPControl* control = nullptr;
    LDAPControl* second_control = nullptr;  ///< only beside the first
    int size_limit = LDAP_NO_LIMIT;
  };
  using OnEntry = std::function<Result<>(LDAPMessage*)>;

  LdapSearcher(LdapConnection& connection, const config::LdapSource& settings)
      : connection_(connection), settings_(settings) {}

  /// Hands each entry to `on_entry` and returns what the server says at the end, success or not.
  /// `during` says what the caller does, for the error. No end of messages is Errc::limit.
  Result<LdapResult> run(const Request& request, const std::string& during,
                         const OnEntry& on_entry);

  /// Only sends it; the number of the operation.
  Result<int> send(const Request& request, const std::string& during);

  /// Continuation references so far, which are not followed.
  [[nodiscard]] std::uint64_t references() const { return references_; }

 private:
  LdapConnection& connection_;
  const config::LdapSource& settings_;
  std::uint64_t messages_ = 0;
  std::uint64_t references_ = 0;
};

/// Visits every value of an entry; gives its DN. Errc::protocol for what is no entry.
Result<std::string> visit_values(
    LDAP* ldap, LDAPMessage* message,
    const std::function<void(std::string_view name, std::string_view value)>& visit);

/// What a server says of itself. Attributes that it does not have are empty.
struct RootDse {
  std::string default_context;
  std::vector<std::string> contexts;
  std::string schema_context;  ///< Active Directory
  std::string subschema;       ///< subschemaSubentry (RFC 4512 §4.4)
  std::string service_name;    ///< Active Directory: the DN of the controller's own settings
  std::string committed_usn;   ///< Active Directory: highestCommittedUSN
  std::vector<std::string> controls;
};
Result<RootDse> read_root_dse(LdapSearcher& searcher, LdapConnection& connection,
                              const config::LdapSource& settings);

/// The bases of the configuration, else what the server names as its own. Errc::not_found: neither.
Result<std::vector<std::string>> search_bases(const RootDse& root,
                                              const config::LdapSource& settings);

}  // namespace rcptsync::source

// sync_search — one search with the Sync Request Control, its messages taken apart.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/ldap_connection.hpp"
#include "source/ldap_search.hpp"
#include "source/sync_values.hpp"

namespace rcptsync::source {

class SyncSearch {
 public:
  struct Request {
    const std::string& base;
    int scope = LDAP_SCOPE_SUBTREE;
    const char* filter = every_entry;
    char** attributes = nullptr;
    SyncMode mode = SyncMode::refresh_only;
    std::string cookie;
  };
  /// What the messages say; each may refuse. Views live as long as the call.
  struct Handlers {
    std::function<Result<>(const SyncState&, LDAPMessage*)> on_entry;
    std::function<Result<>(const SyncInfo&)> on_info;
  };
  struct End {
    std::string cookie;
    bool refresh_deletes = false;
  };

  SyncSearch(LdapConnection& connection, const config::LdapSource& settings)
      : connection_(connection), searcher_(connection, settings) {}

  /// Sends it; the number of the operation.
  Result<int> send(const Request& request, const std::string& during);

  /// A refresh from the first message to the last. Errc::foreign: the server refuses it, ends it
  /// without a cookie, or says something that RFC 4533 does not know.
  Result<End> run(const Request& request, const std::string& during, const Handlers& handlers);

  /// Takes one message that is not the last.
  Result<> take(LDAPMessage* message, const std::string& during, const Handlers& handlers);

  /// What the last message says; errors as run().
  Result<End> end(LDAPMessage* message, const std::string& during);

 private:
  LdapConnection& connection_;
  LdapSearcher searcher_;
};

}  // namespace rcptsync::source

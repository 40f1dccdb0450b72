// prune — finds the addresses of unwanted domains in a directory and takes them out of it.
//
// The only place where this project writes to a directory. A value is deleted by naming it: the
// server refuses (noSuchAttribute) if it is not there any more. Directories compare addresses
// without regard to case, so that `smtp:` could stand for a value that has become `SMTP:`, the
// primary one, meanwhile; therefore each object is read again right before it is changed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

struct PruneValue {
  std::string attribute;
  std::string text;      ///< as it stands there
  std::string address;   ///< canonical
  bool primary = false;  ///< `SMTP:…`, or `mail` in Active Directory
};

struct PruneObject {
  std::string key;
  std::string dn;
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  std::vector<PruneValue> values;  ///< those in the unwanted domains
  std::uint64_t others = 0;        ///< how many other addresses it has
};

/// How the removal from one object went.
struct PruneOutcome {
  enum class Kind {
    removed,
    changed,  ///< the object is not as it was listed; nothing was done to it
    refused,  ///< the server refused this object; others may go
    stopped   ///< the server refused, and would refuse the next one too
  };
  Kind kind = Kind::removed;
  std::string why;  ///< unless removed
};

class Pruner {
 public:
  /// Connects to one server of the source, which must be active-directory or ldap. `bind`: instead
  /// of that of the source. `preferred`: the uri that is tried first.
  static Result<std::unique_ptr<Pruner>> open(const config::Source& source,
                                              const std::optional<config::Bind>& bind,
                                              std::string_view preferred, std::stop_token stop);
  ~Pruner();
  Pruner(const Pruner&) = delete;
  Pruner& operator=(const Pruner&) = delete;

  [[nodiscard]] const std::string& server() const { return server_.uri; }

  /// Every object of the source with addresses in `domains` (canonical), by DN. In `addresses` and
  /// `fallback`, whatever the source makes of the object. Errc::limit: more than a million.
  Result<std::vector<PruneObject>> find(const std::set<std::string, std::less<>>& domains);

  /// Deletes exactly these values, all or none. An error: the connection is lost, and whether it
  /// was done is not known.
  Result<PruneOutcome> remove(const PruneObject& object, const std::vector<PruneValue>& values);

 private:
  Pruner(const config::Source& source, const std::optional<config::Bind>& bind);
  [[nodiscard]] std::string name_of(const PruneObject& object) const;
  Result<PruneOutcome> check(const PruneObject& object, const std::vector<PruneValue>& values);
  Result<PruneOutcome> modify(const PruneObject& object, const std::vector<PruneValue>& values);

  config::SourceType type_;
  config::LdapSource settings_;
  config::Server server_;
  std::unique_ptr<LdapConnection> connection_;
};

}  // namespace rcptsync::source

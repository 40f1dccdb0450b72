// ldap_schema — what a server calls the attributes that a source names.
//
// A server answers with the first name that its schema has for an attribute: who asks for
// emailAddress or for an OID gets values under another name. Who asks for an attribute that the
// schema lacks gets no error and no value, and a filter that names one finds nothing by it. Both
// look like a company that has lost its addresses.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

/// One value of attributeTypes (RFC 4512 §4.1.2), as far as its names go.
struct AttributeType {
  std::string oid;
  std::vector<std::string> names;  ///< the first is the one that servers answer with
};

/// Nothing for what is no such description. One without a name goes by its OID.
std::optional<AttributeType> parse_attribute_type(std::string_view description);

/// Every name and OID of an attribute, in lower case → the name that the server answers with.
using AttributeNames = std::map<std::string, std::string, std::less<>>;

/// `settings` with addresses and fallback named as in `names`, each once, options kept. Errc::
/// not_found: an attribute in addresses, fallback or filter that is not in `names`; the defaults of
/// addresses and fallback may be missing as long as one of the two lists holds another. `elsewhere`
/// is asked before that, and says whether the server knows the attribute all the same.
Result<config::LdapSource> named_by(
    const AttributeNames& names, const config::LdapSource& settings,
    const std::function<Result<bool>(const std::string& attribute)>& elsewhere);

/// The settings with which this server is read: named_by() its schema. Where the schema cannot be
/// read they are as they were written. An attribute that the schema lacks and an entry has is
/// known: some servers show less in their schema than they have. Other errors are those of the
/// connection.
Result<config::LdapSource> as_the_server_names(LdapConnection& connection,
                                               const config::LdapSource& settings);

}  // namespace rcptsync::source

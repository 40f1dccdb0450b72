// global_catalogue — whether what is read there can be whole.
//
// A global catalogue (ports 3268 and 3269) holds every object of the forest, but of each only the
// attributes that the schema marks for it. One that is not marked is not there for whoever asks:
// no error, no value, and a filter that names it finds nothing. Such an answer would look like a
// company that has lost its addresses.
#pragma once

#include <functional>
#include <memory>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

/// Opens a connection as the one at hand was opened, to another port of the same host.
using OpenBeside =
    std::function<Result<std::unique_ptr<LdapConnection>>(const config::Server& server)>;

/// Nothing for a server that is no global catalogue. Else it asks the schema whether every
/// attribute that the source reads, decides by or filters by is in the catalogue. Errc::not_found
/// names the first that is not, and the way out. The schema's mark itself may be missing in the
/// catalogue; then the schema is read at the controller's other port, through `open`.
Result<> check_global_catalogue(LdapConnection& connection, const config::LdapSource& settings,
                                const OpenBeside& open);

}  // namespace rcptsync::source

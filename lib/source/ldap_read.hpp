// ldap_read — everything that a source's bases and filter name, from one server.
//
// A read is whole only if every page of every base ended with success and the last one with an
// empty cookie (RFC 2696). There is no partial success: anything else is an Error, and what went
// into the sink until then is worth nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

struct ReadTotals {
  std::uint64_t objects = 0;
  std::uint64_t references = 0;  ///< continuation references, which are not followed
};

/// Reads in full. The connection is bound and used by nobody else.
Result<ReadTotals> read_directory(LdapConnection& connection, config::SourceType type,
                                  const config::LdapSource& settings, recipient::ObjectSink& sink);

/// Active Directory: reads the objects with these objectGUIDs (16 bytes each), as read_directory()
/// would find them. The sink gets each that is there, and a remove for each that is not, or that
/// bases and filter do not name any more.
Result<ReadTotals> read_again(LdapConnection& connection, const config::LdapSource& settings,
                              std::span<const std::string> guids, recipient::ObjectSink& sink);

}  // namespace rcptsync::source

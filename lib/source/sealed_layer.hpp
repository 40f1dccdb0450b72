// sealed_layer — puts a SASL security layer (RFC 4422 §3.7) under an LDAP connection: what libldap
// writes goes out sealed, what comes in is unsealed before it sees it.
#pragma once

#include <ldap.h>

#include <cstddef>
#include <memory>

#include "base/result.hpp"
#include "source/gss_session.hpp"

namespace rcptsync::source {

/// The largest token that we accept, and say so to the server: all that RFC 4752 can express.
inline constexpr std::size_t max_sealed_token = 0xFFFFFF;

/// From now on until the connection ends. `peer_limit`: the largest token that the server accepts.
Result<> install_sealed_layer(LDAP* ldap, std::unique_ptr<GssSession> session,
                              std::size_t peer_limit);

}  // namespace rcptsync::source

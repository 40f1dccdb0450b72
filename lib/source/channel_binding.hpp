// channel_binding — the data that ties a proof of identity to the TLS connection it is given in.
#pragma once

#include <string>
#include <string_view>

namespace rcptsync::source {

/// `tls-server-end-point:` and a digest of the server's certificate (RFC 5929 §4), DER. Empty if
/// the certificate cannot be read, or its signature has no digest of its own (Ed25519), for which
/// the RFC defines nothing.
std::string channel_binding_of(std::string_view certificate);

}  // namespace rcptsync::source

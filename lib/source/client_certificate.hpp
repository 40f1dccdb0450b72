// client_certificate — what a source shows a server that wants a certificate of its clients.
#pragma once

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

/// The key can be read by us alone and without a passphrase, it is the one of the certificate, and
/// that is valid at `now`. Errors name the key of `bind` that has to be mended.
Result<> check_client_certificate(const config::SecretRef& certificate,
                                  const config::SecretRef& key, WallTime now);

}  // namespace rcptsync::source

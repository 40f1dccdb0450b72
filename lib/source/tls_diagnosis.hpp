// tls_diagnosis — why a server's certificate was refused, in plain words.
//
// libldap verifies, and with some TLS libraries below it says only that verification failed. This
// makes a second connection, only after that failure and only to look: it never lets one pass.
#pragma once

#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

/// The system's store of trusted certificates: a PEM file.
std::string system_trust_file();

/// Errc::untrusted with the reason (expired, wrong name, unknown issuer, …), Errc::protocol if the
/// handshake itself fails, Errc::invalid if trust_file is unusable. If nothing is found, an Error
/// with `seen`, the library's own words.
Error diagnose_tls(const config::Server& server, bool start_tls, const std::string& trust_file,
                   const std::string& seen, SteadyTime deadline, const std::stop_token& stop);

}  // namespace rcptsync::source

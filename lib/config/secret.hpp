// secret — finds and reads what a SecretRef names.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::config {

/// The file in which the secret stands: `$CREDENTIALS_DIRECTORY/NAME` if that variable is set, else
/// `/etc/rcptsync/credentials/NAME`; a file reference is its own path.
std::filesystem::path resolve(const SecretRef& ref);

/// Its bytes, modes checked (base/file.hpp). The message names the file and the way out, never the
/// content.
Result<std::string> read_secret(const SecretRef& ref);

/// A password: the secret without one final newline; empty or with a NUL byte is Errc::credentials
/// (an empty password would make an LDAP simple bind an anonymous one, RFC 4513 §5.1.2).
Result<std::string> read_password(const SecretRef& ref);

}  // namespace rcptsync::config

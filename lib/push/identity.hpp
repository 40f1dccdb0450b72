// identity — the private key that we log in with: reads it, finds out what it is, and says in plain
// words if it cannot be used.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::push {

/// A key as the SSH library takes it. The bytes are wiped when it goes.
struct Identity {
  std::string file;  ///< where it was read from, for messages
  std::string type;  ///< `ssh-ed25519`
  std::string key;   ///< the file's bytes

  Identity() = default;
  Identity(Identity&&) = default;
  Identity& operator=(Identity&&) = default;
  ~Identity();
};

/// What this build's SSH library can log in with.
struct KeySupport {
  bool rsa_sha2 = false;  ///< signs with SHA-2 (RFC 8332), which servers of today ask of RSA keys
};
KeySupport key_support();

/// The type of a private key in OpenSSH's own format or PEM (`ssh-ed25519`, `ssh-rsa`,
/// `ecdsa-sha2-nistp256`, …). Errors, Errc::credentials: a public key, an encrypted one, a format
/// or a type that cannot be used; the message says how to make one that can.
Result<std::string> private_key_type(std::string_view bytes, const KeySupport& support);

Result<Identity> read_identity(const config::SecretRef& ref, const KeySupport& support);

/// Those of the target's keys that can be used. An error only if there is none: then the first.
/// `skipped` gets a line for each of the others.
Result<std::vector<Identity>> read_identities(const config::Target& target,
                                              std::vector<std::string>& skipped);

}  // namespace rcptsync::push

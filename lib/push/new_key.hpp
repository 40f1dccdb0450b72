// new_key — makes an Ed25519 key pair in the format of OpenSSH (PROTOCOL.key), which the SSH
// library and ssh(1) read.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rcptsync::push {

/// The two files of a key pair. The private one is wiped when it goes.
struct KeyPair {
  std::string private_file;  ///< `-----BEGIN OPENSSH PRIVATE KEY-----` …
  std::string public_line;   ///< `ssh-ed25519 AAAA… comment`, without a newline
  std::string fingerprint;   ///< `SHA256:…`

  KeyPair() = default;
  KeyPair(KeyPair&&) = default;
  KeyPair& operator=(KeyPair&&) = default;
  ~KeyPair();
};

/// `comment`: one line of printable characters; others are replaced.
Result<KeyPair> new_key_pair(std::string_view comment);

/// Writes the private key (0600) to `file` and the public one (0644) to `file`.pub; folders that
/// are missing are made, the last one 0700. Neither file is ever replaced: Errc::invalid if one is
/// there. After an error or a crash either both are there, or the private one is not.
Result<> save_key_pair(const KeyPair& pair, const std::filesystem::path& file);

/// The public line for a private key that is not encrypted, in OpenSSH's format, and an empty
/// comment; an Error for every other format.
Result<std::string> public_line_of(std::string_view private_file);

}  // namespace rcptsync::push

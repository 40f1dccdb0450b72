// known_hosts — reads a file in the format of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT, and finds the
// keys of one host. Pure but for read_known_hosts().
//
// Not libssh2_knownhost_*: that ignores @revoked, knows no wildcards, takes another key type for an
// attack and loses every line after one that it cannot read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::push {

struct KnownHostsLine {
  enum class Marker { none, revoked, cert_authority };
  Marker marker = Marker::none;
  std::string hosts;       ///< patterns with commas between, or one hashed name `|1|salt|hash`
  std::string type;        ///< `ssh-ed25519`
  std::string key;         ///< the raw key: what the server presents (RFC 4253 §6.6)
  std::size_t number = 0;  ///< from 1
};

struct KnownHosts {
  std::vector<KnownHostsLine> lines;
  struct Garbage {
    std::size_t number = 0;
    std::string why;
  };
  std::vector<Garbage> garbage;  ///< lines that were skipped; the others hold all the same
};

/// Largest file and longest line that are accepted, in bytes.
constexpr std::size_t known_hosts_limit = 16U << 20;
constexpr std::size_t known_hosts_line_limit = 64U << 10;

/// Never fails: what cannot be understood is garbage.
KnownHosts parse_known_hosts(std::string_view text);

Result<KnownHosts> read_known_hosts(const std::filesystem::path& path);

/// Whether the patterns of a line mean this name: `*`, `?`, `!` before a pattern (which excludes,
/// whatever else fits), hashed names; the case of letters does not count. `name` as ssh(1) writes
/// it, see lookup_name().
bool host_matches(std::string_view patterns, std::string_view name);

/// `host` for port 22, else `[host]:port`, in lower case.
std::string lookup_name(std::string_view host, std::uint16_t port);

/// What the file says of one host.
struct HostKeys {
  struct Key {
    std::string type;
    std::string key;
    std::size_t number = 0;  ///< of its line
  };
  std::vector<Key> known;
  std::vector<Key> revoked;              ///< in no case to be used for this host
  std::vector<std::size_t> authorities;  ///< lines with @cert-authority for it
};

/// As ssh(1) does, a host on another port that has no key of its own there is looked up by its
/// plain name too; a revoked key counts under both names.
HostKeys keys_of(const KnownHosts& file, std::string_view host, std::uint16_t port);

/// `SHA256:` and the base64 of the digest without padding, as ssh-keygen -l prints it.
std::string fingerprint(std::string_view key);

/// The type that a raw key names itself, or empty.
std::string_view type_of_key(std::string_view key);

}  // namespace rcptsync::push

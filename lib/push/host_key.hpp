// host_key — decides which host keys a server may show us, and whether the one it shows is the
// right one. Pure; the session in session.hpp does the talking.
//
// With known_hosts only types whose key is known are asked for, so a server that also has others is
// no alarm. With pins every type is asked for until one fits. There is no way to accept a key
// unseen.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "push/known_hosts.hpp"

namespace rcptsync::push {

/// The host key types that this program can verify (RFC 4253 §6.6, RFC 5656, RFC 8709), most wanted
/// first. ssh-dss is not among them.
std::span<const std::string_view> host_key_types();

class HostKeyPolicy {
 public:
  /// Pins instead of known_hosts, if the target has any; a key that is revoked in known_hosts is
  /// refused even if it is pinned.
  HostKeyPolicy(const config::Target& target, const KnownHosts& known_hosts);

  /// Types to ask the server for now. Empty: there is no way left; explain() says why.
  [[nodiscard]] std::vector<std::string> offer() const;

  /// Signature algorithms for the types, as LIBSSH2_METHOD_HOSTKEY wants them: an ssh-rsa key can
  /// sign in three ways (RFC 8332).
  static std::string algorithms(std::span<const std::string> types);

  enum class Verdict {
    trusted,
    another_type,  ///< pinned: not this key; ask offer() for the types that are left
    refused,       ///< explain() says why
  };
  Verdict judge(std::string_view raw_key);

  /// The server has none of the types that were offered; `server_has` as it named them, if known.
  void not_offered(std::span<const std::string> server_has);

  /// Why there is no trusted key: what was seen, what was expected, the way out.
  [[nodiscard]] Error explain() const;

 private:
  std::string name_;  ///< of the host in known_hosts
  std::string host_;
  std::uint16_t port_;
  std::string file_;
  std::vector<std::string> pins_;
  HostKeys keys_;
  std::vector<std::string> tried_;  ///< types whose key did not fit a pin
  std::vector<std::string> seen_;   ///< `SHA256:… (ssh-ed25519)`
  std::vector<std::string> server_has_;
  std::string refusal_;
  Errc refusal_code_ = Errc::untrusted;
};

/// For a target: reads its known_hosts. A missing file is an error only without pins.
Result<HostKeyPolicy> host_key_policy(const config::Target& target);

/// A pin without its padding, or nothing if it is not `SHA256:` and 43 characters of base64.
std::optional<std::string> canonical_pin(std::string_view pin);

}  // namespace rcptsync::push

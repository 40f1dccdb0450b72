// gss_session — one GSSAPI security context with a server (RFC 2743, RFC 4121): who the two are,
// and a key between them.
//
// Made from a ticket that is there already, for a principal that is named in full: nothing here
// asks a KDC or the DNS.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "source/kerberos.hpp"

namespace rcptsync::source {

class GssSession {
 public:
  /// `sealed`: messages will be encrypted. `channel_binding`: RFC 5929 data of the TLS connection
  /// around it; empty: none.
  static Result<std::unique_ptr<GssSession>> open(const Ticket& ticket, bool sealed,
                                                  std::string channel_binding);
  ~GssSession();
  GssSession(const GssSession&) = delete;
  GssSession& operator=(const GssSession&) = delete;

  /// The next token for the server; `token`: the server's, empty at the start. An empty answer once
  /// established() means that there is nothing more to say.
  Result<std::string> step(std::string_view token);
  [[nodiscard]] bool established() const { return established_; }

  /// Bits of the key that seals; 0 if that is not known.
  [[nodiscard]] unsigned strength() const;

  /// `sealed`: encrypted too, not only signed.
  Result<std::string> wrap(std::string_view message, bool sealed);
  /// A message that is not what the server wrapped is an error, and so is one that is not sealed
  /// where `sealed` demands it.
  Result<std::string> unwrap(std::string_view token, bool sealed);
  /// The longest message that, sealed, becomes a token of at most `token` bytes.
  [[nodiscard]] std::size_t longest_message(std::size_t token) const;

 private:
  struct Parts;
  explicit GssSession(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
  bool established_ = false;
};

}  // namespace rcptsync::source

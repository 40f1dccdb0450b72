// digest — SHA-256, the name of every table and of every change that is held.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/handle.hpp"

namespace rcptsync {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Digest&) const = default;

  /// 64 lower-case hexadecimal digits.
  [[nodiscard]] std::string hex() const;
  /// The first 12 of them, for a line that a person reads.
  [[nodiscard]] std::string brief() const { return hex().substr(0, 12); }
  /// Reads exactly 64 hexadecimal digits of either case; anything else is nothing.
  static std::optional<Digest> from_hex(std::string_view text);
};

/// Computes SHA-256 piece by piece.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  /// The digest of all bytes so far; the object starts anew afterwards.
  [[nodiscard]] Digest finish();

 private:
  Handle<EVP_MD_CTX, EVP_MD_CTX_free> context_;
};

Digest sha256(std::string_view bytes);

}  // namespace rcptsync

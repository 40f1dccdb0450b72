// base64 — RFC 4648 §4, as known_hosts lines and private keys carry it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rcptsync::push {

/// The bytes, or nothing if the text is not whole groups of four with correct padding. No white
/// space is accepted.
std::optional<std::string> base64_decode(std::string_view text);

/// With padding.
std::string base64_encode(std::string_view bytes);

}  // namespace rcptsync::push

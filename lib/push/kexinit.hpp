// kexinit — what algorithms a server offered, read from the first bytes it sent, so that a failed
// negotiation can be explained. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rcptsync::push {

struct ServerAlgorithms {
  std::vector<std::string> key_exchange, host_keys, ciphers, macs;
};

/// `received`: everything from the first byte of the connection on (RFC 4253 §4.2: lines, the
/// version line, then the packet of §7.1). Nothing if the packet is not there whole or not
/// well-formed.
std::optional<ServerAlgorithms> server_algorithms(std::string_view received);

}  // namespace rcptsync::push

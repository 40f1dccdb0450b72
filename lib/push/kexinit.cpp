#include "push/kexinit.hpp"

#include <algorithm>

#include "push/wire.hpp"

namespace rcptsync::push {
namespace {

constexpr char kexinit_message = 20;

// The text after the version line `SSH-2.0-…`.
std::optional<std::string_view> after_version_line(std::string_view received) {
  while (!received.empty()) {
    const auto end = received.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const bool version = received.starts_with("SSH-");
    received.remove_prefix(end + 1);
    if (version) return received;
  }
  return std::nullopt;
}

std::vector<std::string> names(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const auto name = list.substr(0, list.find(','));
    list.remove_prefix(std::min(name.size() + 1, list.size()));
    if (!name.empty()) out.emplace_back(name);
  }
  return out;
}

}  // namespace

std::optional<ServerAlgorithms> server_algorithms(std::string_view received) {
  const auto packets = after_version_line(received);
  if (!packets) return std::nullopt;
  WireReader reader(*packets);
  const auto packet = reader.string();  // the length field counts what follows it
  if (!packet) return std::nullopt;
  WireReader payload(*packet);
  const auto padding_length = payload.take(1);
  const auto message = payload.take(1);
  if (!padding_length || !message || message->front() != kexinit_message || !payload.take(16))
    return std::nullopt;
  // key exchange, host keys, ciphers both ways, MACs both ways; the server's side decides for what
  // we send, and servers list the same for both.
  const auto key_exchange = payload.string();
  const auto host_keys = payload.string();
  const auto ciphers = payload.string();
  const auto ciphers_back = payload.string();
  const auto macs = payload.string();
  if (!key_exchange || !host_keys || !ciphers || !ciphers_back || !macs) return std::nullopt;
  return ServerAlgorithms{names(*key_exchange), names(*host_keys), names(*ciphers), names(*macs)};
}

}  // namespace rcptsync::push

#include "source/sealed_layer.hpp"

#include <openldap.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

namespace rcptsync::source {
namespace {

constexpr std::size_t header = 4;  // the token's length, in network order

struct Layer {
  std::unique_ptr<GssSession> session;
  std::size_t longest_message = 0;
  std::string token;      // coming in: header and as much of the token as is there
  std::string message;    // unsealed
  std::size_t taken = 0;  // of it, by the decoder above
};

Layer& layer_of(Sockbuf_IO_Desc* desc) {
  return *static_cast<Layer*>(desc->sbiod_pvt);
}

int setup(Sockbuf_IO_Desc* desc, void* layer) {
  desc->sbiod_pvt = layer;
  return 0;
}

int remove(Sockbuf_IO_Desc* desc) {
  delete static_cast<Layer*>(desc->sbiod_pvt);
  desc->sbiod_pvt = nullptr;
  return 0;
}

int control(Sockbuf_IO_Desc* desc, int option, void* argument) {
  const auto& layer = layer_of(desc);
  if (option == LBER_SB_OPT_DATA_READY && layer.taken < layer.message.size()) return 1;
  return LBER_SBIOD_CTRL_NEXT(desc, option, argument);
}

// Reads until `token` has `size` bytes; what is there stays if it is interrupted. 1 done, else what
// the layer below answered.
ber_slen_t fill(Sockbuf_IO_Desc* desc, std::string& token, std::size_t size) {
  while (token.size() < size) {
    std::array<char, 16384> piece;
    const auto got =
        LBER_SBIOD_READ_NEXT(desc, piece.data(), std::min(piece.size(), size - token.size()));
    if (got <= 0) return got;
    token.append(piece.data(), static_cast<std::size_t>(got));
  }
  return 1;
}

// The next message of the server; 1 done, 0 the end, -1 with errno.
ber_slen_t receive(Sockbuf_IO_Desc* desc, Layer& layer) {
  if (const auto got = fill(desc, layer.token, header); got <= 0) return got;
  std::size_t length = 0;
  for (std::size_t i = 0; i < header; ++i)
    length = length << 8 | static_cast<unsigned char>(layer.token[i]);
  if (length > max_sealed_token) {
    errno = EMSGSIZE;
    return -1;
  }
  if (const auto got = fill(desc, layer.token, header + length); got <= 0) return got;
  auto message = layer.session->unwrap(std::string_view(layer.token).substr(header), true);
  layer.token.clear();
  if (!message) {
    errno = EBADMSG;
    return -1;
  }
  layer.message = *std::move(message);
  layer.taken = 0;
  return 1;
}

ber_slen_t read(Sockbuf_IO_Desc* desc, void* into, ber_len_t size) {
  auto& layer = layer_of(desc);
  while (layer.taken == layer.message.size())
    if (const auto got = receive(desc, layer); got <= 0) return got;
  const auto count = std::min<std::size_t>(size, layer.message.size() - layer.taken);
  layer.message.copy(static_cast<char*>(into), count, layer.taken);
  layer.taken += count;
  return static_cast<ber_slen_t>(count);
}

// All of it, also where the socket does not block: half a token could not be taken back.
bool send(Sockbuf_IO_Desc* desc, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = LBER_SBIOD_WRITE_NEXT(desc, const_cast<char*>(bytes.data()), bytes.size());
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      ber_socket_t fd = -1;
      ::ber_sockbuf_ctrl(desc->sbiod_sb, LBER_SB_OPT_GET_FD, &fd);
      pollfd waiting{fd, POLLOUT, 0};
      ::poll(&waiting, 1, -1);  // the watchdog ends it
    } else if (sent == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

ber_slen_t write(Sockbuf_IO_Desc* desc, void* from, ber_len_t size) {
  auto& layer = layer_of(desc);
  const auto count = std::min<std::size_t>(size, layer.longest_message);
  const auto token = layer.session->wrap({static_cast<const char*>(from), count}, true);
  if (!token) {
    errno = EIO;
    return -1;
  }
  std::string packet;
  for (int shift = 24; shift >= 0; shift -= 8)
    packet.push_back(static_cast<char>(token->size() >> shift & 0xFF));
  packet += *token;
  return send(desc, packet) ? static_cast<ber_slen_t>(count) : -1;
}

int close(Sockbuf_IO_Desc* /*desc*/) {
  return 0;
}

Sockbuf_IO sealed_io{setup, remove, control, read, write, close};

}  // namespace

Result<> install_sealed_layer(LDAP* ldap, std::unique_ptr<GssSession> session,
                              std::size_t peer_limit) {
  auto layer = std::make_unique<Layer>();
  layer->longest_message = session->longest_message(peer_limit);
  layer->session = std::move(session);
  if (layer->longest_message == 0)
    return Error{Errc::protocol, "the server accepts no sealed message of any length"};
  Sockbuf* buffer = nullptr;
  ::ldap_get_option(ldap, LDAP_OPT_SOCKBUF, &buffer);
  if (::ber_sockbuf_add_io(buffer, &sealed_io, LBER_SBIOD_LEVEL_APPLICATION, layer.get()) != 0)
    return Error{Errc::internal, "libldap takes no security layer"};
  static_cast<void>(layer.release());
  return {};
}

}  // namespace rcptsync::source

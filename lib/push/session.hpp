// session — one SSH connection as coroutines over non-blocking libssh2.
//
// Every function waits at most until the session's one deadline, whatever the peer does: hang, drip
// or flood. Between two waits at most a fixed amount of input is taken in, so a flooding peer has
// its share of the thread and no more. Nothing here decides whom to trust; see host_key.hpp.
//
// Use: connect → handshake → host_key (judge it) → login → run and send, one after the other. After
// an error only destruction is left. Errors name the cause; the caller adds the host and the step.
#pragma once

#include <libssh2.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "push/identity.hpp"
#include "push/signal.hpp"

namespace rcptsync::push {

/// What a command on the target wrote, and how it ended.
struct CommandOutput {
  std::string out;
  std::string err;              ///< the first 64 KiB
  std::uint64_t err_bytes = 0;  ///< all of it
  int status = 0;
  std::string signal;  ///< `KILL`, if it was killed
};

class Session {
 public:
  template <class T = void>
  using Async = boost::asio::awaitable<Result<T>>;

  Session(boost::asio::any_io_executor executor, SteadyTime deadline);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// TCP. `source_address`: local address to come from, or empty.
  Async<> connect(std::string host, std::uint16_t port, std::string source_address);

  enum class Handshake { done, no_common_host_key };
  /// Negotiates. `host_key_algorithms`: the only ones to accept, with commas between.
  Async<Handshake> handshake(std::string host_key_algorithms);
  /// The types of host key that the server said it has; empty if it did not get that far.
  [[nodiscard]] std::vector<std::string> server_host_keys() const;
  /// The raw key of the server, which proved with the handshake that it owns it.
  [[nodiscard]] std::string host_key() const;

  /// Public key authentication with the first of the identities that the server takes.
  Async<> login(std::string user, std::span<const Identity> identities);

  /// Runs a command by the account's login shell with `input` on its standard input. More than
  /// `limit` bytes of standard output are Errc::limit.
  Async<CommandOutput> run(std::string command, std::string_view input, std::size_t limit);

  /// Sends a file by the SCP protocol, mode 0644; done only when the target has acknowledged that
  /// it wrote all of it. `path`: see usable_path() in recipe.hpp. The views must live until then.
  Async<> send(std::string path, std::string_view bytes);

  /// File bytes that went out, whether or not they arrived.
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  /// Keeps `*sent` at bytes_sent(); null: nobody wants to know.
  void tell_sent(std::uint64_t* sent) { told_ = sent; }

 private:
  using Tcp = boost::asio::ip::tcp;
  using Channel = Handle<LIBSSH2_CHANNEL, libssh2_channel_free>;
  struct Reply;

  Async<> connect_to(const Tcp::endpoint& endpoint, const std::string& source_address,
                     SteadyTime until);
  Async<> ready();
  Async<Channel> open_channel(const std::string& command);
  Async<bool> write(LIBSSH2_CHANNEL* channel, std::string_view bytes, CommandOutput& output,
                    std::size_t limit, bool counts);
  Result<bool> read_streams(LIBSSH2_CHANNEL* channel, CommandOutput& output, std::size_t limit);
  Result<bool> read_available(LIBSSH2_CHANNEL* channel, CommandOutput& output, std::size_t limit);
  Async<> finish(Channel channel, CommandOutput& output, std::size_t limit);
  Async<> scp_reply(LIBSSH2_CHANNEL* channel, CommandOutput& output, std::size_t& position);
  Error failure(std::string_view what) const;
  Result<Handshake> explain_negotiation(const std::string& host_key_algorithms) const;
  static ssize_t receive(libssh2_socket_t socket, void* buffer, std::size_t length, int flags,
                         void** session);

  boost::asio::any_io_executor executor_;
  SteadyTime deadline_;
  Tcp::socket socket_;
  std::shared_ptr<Signal> signal_;
  LIBSSH2_SESSION* session_ = nullptr;
  bool negotiated_ = false;
  std::size_t input_budget_ = 0;  ///< bytes that may come in before other coroutines have a turn
  std::string hello_;             ///< what came in during the handshake
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t* told_ = nullptr;
};

/// `1.10.0`: the version of the SSH library at run time.
std::string_view library_version();

}  // namespace rcptsync::push

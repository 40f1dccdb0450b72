#include "push/session.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "base/escape.hpp"
#include "base/random.hpp"
#include "push/kexinit.hpp"
#include "push/resolve.hpp"

namespace rcptsync::push {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t input_turn = 1U << 20;
constexpr std::size_t output_turn = 512U << 10;
constexpr std::size_t hello_limit = 256U << 10;  // a server's first words are below 10 KiB
constexpr std::size_t stderr_kept = 64U << 10;
constexpr std::size_t stderr_limit = 16U << 20;
constexpr std::size_t words_limit = 64U << 10;
constexpr auto connect_attempt = std::chrono::seconds(10);

// First the ciphers that cost least for one large file, and no CBC, no MD5, no group of 1024 bits.
// Names that the library does not have are left out.
constexpr std::string_view ciphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,"
    "chacha20-poly1305@openssh.com";
constexpr std::string_view macs =
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512,"
    "hmac-sha1-etm@openssh.com,hmac-sha1";
constexpr std::string_view key_exchanges =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
    "ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
    "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1";

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : escape(text, 400);
}

// Whether one of the names stands in the list with commas.
bool any_in(const std::vector<std::string>& names, std::string_view list) {
  const auto whole = "," + std::string(list) + ",";
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return whole.find("," + name + ",") != std::string::npos;
  });
}

// The names of `wanted` that the library has, with commas.
std::string supported(LIBSSH2_SESSION* session, int method, std::string_view wanted) {
  const char** list = nullptr;
  const int count = libssh2_session_supported_algs(session, method, &list);
  std::vector<std::string> have;
  for (int i = 0; i < count; ++i) have.emplace_back(list[i]);
  if (list != nullptr) libssh2_free(session, list);
  std::string text;
  for (auto rest = wanted; !rest.empty();) {
    const auto name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    if (std::find(have.begin(), have.end(), name) != have.end())
      text += (text.empty() ? "" : ",") + std::string(name);
  }
  return text;
}

// The code for a failure that scp on the target reports in words.
Errc code_of(std::string_view words) {
  const auto says = [&](std::string_view text) { return words.find(text) != words.npos; };
  if (says("No space left") || says("uota exceeded")) return Errc::no_space;
  if (says("ermission denied") || says("Read-only")) return Errc::permission;
  if (says("No such file")) return Errc::not_found;
  return Errc::remote;
}

}  // namespace

std::string_view library_version() {
  return libssh2_version(0);
}

Session::Session(asio::any_io_executor executor, SteadyTime deadline)
    : executor_(std::move(executor)),
      deadline_(deadline),
      socket_(executor_),
      signal_(std::make_shared<Signal>(executor_)) {}

Session::~Session() {
  if (session_ == nullptr) return;
  // The peer gets a word of farewell if there is room for it, no more: nothing may wait here.
  if (socket_.is_open() && negotiated_) {
    input_budget_ = 0;
    libssh2_session_disconnect(session_, "done");
  }
  // With the socket shut down nothing can say EAGAIN for ever; the bound is for bugs of the
  // library.
  if (socket_.is_open()) ::shutdown(socket_.native_handle(), SHUT_RDWR);
  input_budget_ = input_turn;
  for (int tries = 0; tries < 100; ++tries)
    if (libssh2_session_free(session_) != LIBSSH2_ERROR_EAGAIN) break;
}

// --- connecting ----------------------------------------------------------------------------------

Session::Async<> Session::connect(std::string host, std::uint16_t port,
                                  std::string source_address) {
  auto endpoints = co_await resolve(executor_, host, port, deadline_);
  if (!endpoints) co_return endpoints.error();
  std::string failures;
  Errc code = Errc::unreachable;
  for (std::size_t i = 0; i < endpoints->size(); ++i) {
    const auto& endpoint = (*endpoints)[i];
    const bool last = i + 1 == endpoints->size();
    const auto until =
        last ? deadline_ : std::min(deadline_, system_clock().steady() + connect_attempt);
    const auto connected = co_await connect_to(endpoint, source_address, until);
    if (connected) co_return Result<>{};
    if (connected.error().code == Errc::cancelled) co_return connected.error();
    code = connected.error().code;
    failures += fmt::format("{}{} port {}: {}", failures.empty() ? "" : "; ",
                            endpoint.address().to_string(), port, connected.error().message);
    if (deadline_ <= system_clock().steady()) break;
  }
  co_return Error{code, failures};
}

Session::Async<> Session::connect_to(const tcp::endpoint& endpoint,
                                     const std::string& source_address, SteadyTime until) {
  boost::system::error_code error;
  socket_.close(error);
  socket_.open(endpoint.protocol(), error);
  if (error) co_return system_error(error.value(), "cannot make a socket");
  ::fcntl(socket_.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!source_address.empty()) {
    const auto local = asio::ip::make_address(source_address, error);
    if (!error) socket_.bind(tcp::endpoint(local, 0), error);
    if (error)
      co_return system_error(error.value(), fmt::format("cannot connect from source_address: {}",
                                                        escape(source_address)));
  }
  const auto outcome = std::make_shared<boost::system::error_code>();
  signal_->reset();
  socket_.async_connect(endpoint, [signal = signal_, outcome](const auto& result) {
    *outcome = result;
    if (result != asio::error::operation_aborted) signal->fire();
  });
  const auto waited = co_await signal_->wait(until);
  if (!waited) {
    socket_.close(error);
    co_return waited.error();
  }
  if (*outcome) co_return system_error(outcome->value(), "cannot connect");
  socket_.non_blocking(true, error);
  socket_.set_option(tcp::no_delay(true), error);
  socket_.set_option(asio::socket_base::keep_alive(true), error);
  co_return Result<>{};
}

// --- waiting -------------------------------------------------------------------------------------

// libssh2 reads through this: it counts, and it stops a flood from keeping the library busy inside
// one call.
ssize_t Session::receive(libssh2_socket_t socket, void* buffer, std::size_t length, int flags,
                         void** session) {
  auto& self = *static_cast<Session*>(*session);
  if (self.input_budget_ == 0) return -EAGAIN;
  const auto got = ::recv(socket, buffer, std::min(length, self.input_budget_), flags);
  if (got < 0) return -errno;
  self.input_budget_ -= static_cast<std::size_t>(got);
  if (!self.negotiated_ && self.hello_.size() <= hello_limit)
    self.hello_.append(static_cast<const char*>(buffer), static_cast<std::size_t>(got));
  return got;
}

// After LIBSSH2_ERROR_EAGAIN: until the call can go on.
Session::Async<> Session::ready() {
  if (input_budget_ == 0) {
    input_budget_ = input_turn;
    co_await asio::post(executor_, asio::use_awaitable);
    if (system_clock().steady() >= deadline_)
      co_return Error{Errc::timeout, "no end within the time that timeout: allows"};
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
      co_return Error{Errc::cancelled, "told to stop"};
    co_return Result<>{};
  }
  input_budget_ = input_turn;
  signal_->reset();
  const auto wake = [signal = signal_](const boost::system::error_code& error) {
    if (!error) signal->fire();
  };
  const int directions = libssh2_session_block_directions(session_);
  // Both may be set, and none means that the library does not know.
  if (directions != LIBSSH2_SESSION_BLOCK_OUTBOUND)
    socket_.async_wait(tcp::socket::wait_read, wake);
  if (directions != LIBSSH2_SESSION_BLOCK_INBOUND)
    socket_.async_wait(tcp::socket::wait_write, wake);
  const auto waited = co_await signal_->wait(deadline_);
  boost::system::error_code ignored;
  socket_.cancel(ignored);
  co_return waited;
}

Error Session::failure(std::string_view what) const {
  char* text = nullptr;
  const int number = libssh2_session_last_error(session_, &text, nullptr, 0);
  const std::string words = text == nullptr || *text == '\0' ? "no reason given" : escape(text);
  switch (number) {
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
      return {Errc::unreachable,
              fmt::format("{}: the server closed the connection ({})", what, words)};
    case LIBSSH2_ERROR_ALLOC:
      return {Errc::io, fmt::format("{}: out of memory", what)};
    default:
      return {Errc::protocol, fmt::format("{}: {} (libssh2 error {})", what, words, number)};
  }
}

// --- handshake and login -------------------------------------------------------------------------

Session::Async<Session::Handshake> Session::handshake(std::string host_key_algorithms) {
  session_ = libssh2_session_init_ex(nullptr, nullptr, nullptr, this);
  if (session_ == nullptr) co_return Error{Errc::io, "out of memory"};
  libssh2_session_set_blocking(session_, 0);
  libssh2_session_callback_set(session_, LIBSSH2_CALLBACK_RECV,
                               reinterpret_cast<void*>(&Session::receive));
  struct Preference {
    int method;
    std::string_view names;
  };
  const std::array<Preference, 6> preferences = {{{LIBSSH2_METHOD_HOSTKEY, host_key_algorithms},
                                                  {LIBSSH2_METHOD_KEX, key_exchanges},
                                                  {LIBSSH2_METHOD_CRYPT_CS, ciphers},
                                                  {LIBSSH2_METHOD_CRYPT_SC, ciphers},
                                                  {LIBSSH2_METHOD_MAC_CS, macs},
                                                  {LIBSSH2_METHOD_MAC_SC, macs}}};
  for (const auto& [method, names] : preferences) {
    // Only what it has: to drop a name from the list libssh2 1.10 copies over overlapping memory.
    const auto known = supported(session_, method, names);
    if (known.empty() || libssh2_session_method_pref(session_, method, known.c_str()) != 0)
      co_return Error{Errc::protocol,
                      fmt::format("libssh2 {} has none of {}", library_version(), names)};
  }

  for (;;) {
    const int status = libssh2_session_handshake(session_, socket_.native_handle());
    if (status == 0) break;
    if (status == LIBSSH2_ERROR_EAGAIN) {
      if (hello_.size() > hello_limit)
        co_return Error{Errc::protocol,
                        "what answers there talks without end and is no SSH server"};
      auto waited = co_await ready();
      if (!waited) co_return waited.error();
      continue;
    }
    if (status == LIBSSH2_ERROR_KEX_FAILURE || status == LIBSSH2_ERROR_METHOD_NONE)
      co_return explain_negotiation(host_key_algorithms);
    if (status == LIBSSH2_ERROR_BANNER_RECV || (hello_.find("SSH-") == std::string::npos))
      co_return Error{Errc::protocol,
                      fmt::format("what answers there is no SSH server, or closes at once{}{}",
                                  hello_.empty() ? "" : "; it said: ", escape(hello_, 120))};
    co_return failure("the SSH handshake failed");
  }
  negotiated_ = true;
  co_return Handshake::done;
}

// Which list has nothing in common: the library only says that one has not.
Result<Session::Handshake> Session::explain_negotiation(
    const std::string& host_key_algorithms) const {
  const auto server = server_algorithms(hello_);
  if (!server) return failure("the SSH handshake failed");
  struct Part {
    const std::vector<std::string>& offered;
    int method;
    std::string_view wanted;
    std::string_view name, keyword;
  };
  const std::array<Part, 3> parts = {
      {{server->ciphers, LIBSSH2_METHOD_CRYPT_CS, ciphers, "cipher", "Ciphers"},
       {server->macs, LIBSSH2_METHOD_MAC_CS, macs, "MAC", "MACs"},
       {server->key_exchange, LIBSSH2_METHOD_KEX, key_exchanges, "key exchange", "KexAlgorithms"}}};
  for (const auto& part : parts) {
    const auto ours = supported(session_, part.method, part.wanted);
    if (any_in(part.offered, ours)) continue;
    return Error{
        Errc::protocol,
        fmt::format("no {} in common: the server offers {}, libssh2 {} has {}; allow one of "
                    "those with {} in the server's sshd_config, or use a newer libssh2",
                    part.name, joined(part.offered), library_version(), ours, part.keyword)};
  }
  if (!any_in(server->host_keys, supported(session_, LIBSSH2_METHOD_HOSTKEY, host_key_algorithms)))
    return Handshake::no_common_host_key;
  return failure("the SSH handshake failed");
}

std::vector<std::string> Session::server_host_keys() const {
  auto server = server_algorithms(hello_);
  return server ? std::move(server->host_keys) : std::vector<std::string>{};
}

std::string Session::host_key() const {
  std::size_t length = 0;
  int type = 0;
  const char* key = libssh2_session_hostkey(session_, &length, &type);
  return key == nullptr ? std::string{} : std::string(key, length);
}

Session::Async<> Session::login(std::string user, std::span<const Identity> identities) {
  std::string refused;
  for (const auto& identity : identities) {
    int status = 0;
    for (;;) {
      status =
          libssh2_userauth_publickey_frommemory(session_, user.data(), user.size(), nullptr, 0,
                                                identity.key.data(), identity.key.size(), nullptr);
      if (status != LIBSSH2_ERROR_EAGAIN) break;
      auto waited = co_await ready();
      if (!waited) co_return waited.error();
    }
    if (status == 0) co_return Result<>{};
    refused += fmt::format("{}{} ({})", refused.empty() ? "" : ", ", identity.file, identity.type);
    if (status == LIBSSH2_ERROR_SOCKET_DISCONNECT || status == LIBSSH2_ERROR_SOCKET_SEND)
      co_return Error{
          Errc::credentials,
          fmt::format("the server hung up while user {} logged in with {}; its log says "
                      "why (AllowUsers, MaxAuthTries, PerSourcePenalties)",
                      escape(user), refused)};
    if (status != LIBSSH2_ERROR_AUTHENTICATION_FAILED &&
        status != LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED)
      co_return failure(fmt::format("cannot log in with {}", identity.file)).within("login");
  }
  co_return Error{
      Errc::credentials,
      fmt::format("the server refuses user {} with the key {}: the public key must stand in that "
                  "account's ~/.ssh/authorized_keys there, in a home that only the account can "
                  "write; the account must not be locked (usermod -p '*'); a from= must fit",
                  escape(user), refused)};
}

// --- commands ------------------------------------------------------------------------------------

Session::Async<Session::Channel> Session::open_channel(const std::string& command) {
  Channel channel;
  for (;;) {
    channel.reset(libssh2_channel_open_session(session_));
    if (channel) break;
    if (libssh2_session_last_errno(session_) != LIBSSH2_ERROR_EAGAIN)
      co_return failure("the server opens no session");
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  for (;;) {
    const int status = libssh2_channel_exec(channel.get(), command.c_str());
    if (status == 0) break;
    if (status != LIBSSH2_ERROR_EAGAIN) co_return failure("the server runs no command");
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  co_return std::move(channel);
}

// One pass over what the command wrote; true if there was anything.
Result<bool> Session::read_streams(LIBSSH2_CHANNEL* channel, CommandOutput& output,
                                   std::size_t limit) {
  bool any = false;
  std::array<char, 64U << 10> buffer;  // NOLINT(*-member-init): read fills it
  for (const int stream : {0, SSH_EXTENDED_DATA_STDERR}) {
    for (;;) {
      const auto got = libssh2_channel_read_ex(channel, stream, buffer.data(), buffer.size());
      if (got == LIBSSH2_ERROR_EAGAIN || got == 0) break;
      any = true;
      if (got < 0) return failure("reading what the command writes");
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
      if (stream == 0) {
        output.out += bytes;
        if (output.out.size() > limit)
          return Error{Errc::limit,
                       fmt::format("the target printed more than {} bytes; does a start-up file of "
                                   "the account's shell print without end?",
                                   limit)};
      } else {
        output.err += bytes.substr(0, stderr_kept - std::min(stderr_kept, output.err.size()));
        output.err_bytes += bytes.size();
        if (output.err_bytes > stderr_limit)
          return Error{Errc::limit, "the target prints errors without end"};
      }
    }
  }
  return any;
}

// Takes in what has arrived. True if the command has closed its output.
Result<bool> Session::read_available(LIBSSH2_CHANNEL* channel, CommandOutput& output,
                                     std::size_t limit) {
  // Reading one stream takes packets of the other from the socket too, and nobody would wake us for
  // those: only a pass that took in nothing has seen all there is.
  for (bool more = true; more;) {
    const auto budget = input_budget_;
    const auto taken = read_streams(channel, output, limit);
    if (!taken) return taken.error();
    more = *taken || input_budget_ != budget;
  }
  return libssh2_channel_eof(channel) == 1;
}

// False if the other end ended before it had taken everything, or answers before it was asked.
Session::Async<bool> Session::write(LIBSSH2_CHANNEL* channel, std::string_view bytes,
                                    CommandOutput& output, std::size_t limit, bool counts) {
  const auto answered = output.out.size();
  std::size_t turn = 0;
  while (!bytes.empty()) {
    const auto put = libssh2_channel_write(channel, bytes.data(), bytes.size());
    if (put > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(put));
      if (counts) bytes_sent_ += static_cast<std::uint64_t>(put);
      if (counts && told_ != nullptr) *told_ = bytes_sent_;
      turn += static_cast<std::size_t>(put);
      if (turn < output_turn) continue;
      turn = 0;
      input_budget_ = 0;  // a turn for the others, then on
      auto waited = co_await ready();
      if (!waited) co_return waited.error();
      continue;
    }
    if (put == LIBSSH2_ERROR_CHANNEL_CLOSED || put == LIBSSH2_ERROR_CHANNEL_EOF_SENT)
      co_return false;
    if (put != 0 && put != LIBSSH2_ERROR_EAGAIN) co_return failure("sending");
    // Blocked on input alone, no packet of ours is half out: only then other calls are allowed. It
    // is the state in which the command may have died with the window closed, and we would wait.
    if ((libssh2_session_block_directions(session_) & LIBSSH2_SESSION_BLOCK_OUTBOUND) == 0) {
      const auto budget = input_budget_;
      const auto ended = read_available(channel, output, limit);
      if (!ended) co_return ended.error();
      if (*ended || (counts && output.out.size() > answered)) co_return false;
      if (input_budget_ != budget) continue;  // it may have been the window that we wait for
    }
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  co_return true;
}

// Says that no more input comes, takes in the rest, and how the command ended.
Session::Async<> Session::finish(Channel channel, CommandOutput& output, std::size_t limit) {
  for (;;) {
    const int status = libssh2_channel_send_eof(channel.get());
    if (status != LIBSSH2_ERROR_EAGAIN) break;  // an error here: the other end has closed
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  for (;;) {
    const auto ended = read_available(channel.get(), output, limit);
    if (!ended) co_return ended.error();
    if (*ended) break;
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  for (;;) {
    const int status = libssh2_channel_wait_closed(channel.get());
    if (status == 0) break;
    if (status != LIBSSH2_ERROR_EAGAIN) co_return failure("the command's end");
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  output.status = libssh2_channel_get_exit_status(channel.get());
  char* signal = nullptr;
  std::size_t length = 0;
  libssh2_channel_get_exit_signal(channel.get(), &signal, &length, nullptr, nullptr, nullptr,
                                  nullptr);
  if (signal != nullptr) {
    output.signal.assign(signal, length);
    libssh2_free(session_, signal);
  }
  for (auto* raw = channel.release(); libssh2_channel_free(raw) == LIBSSH2_ERROR_EAGAIN;) {
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  co_return Result<>{};
}

Session::Async<CommandOutput> Session::run(std::string command, std::string_view input,
                                           std::size_t limit) {
  auto channel = co_await open_channel(command);
  if (!channel) co_return channel.error();
  CommandOutput output;
  const auto written = co_await write(channel->get(), input, output, limit, false);
  if (!written) co_return written.error();
  const auto finished = co_await finish(std::move(*channel), output, limit);
  if (!finished) co_return finished.error();
  co_return output;
}

// --- SCP -----------------------------------------------------------------------------------------

// The protocol of rcp: a line `C0644 SIZE NAME`, the bytes, a NUL byte; after each of the line and
// the NUL the other end answers 0, or 1 or 2 and a line of words. libssh2_scp_send64() keeps those
// words to itself and takes anything that a start-up file of the shell prints for a broken answer.
Session::Async<> Session::send(std::string path, std::string_view bytes) {
  const auto mark = random_hex(system_random(), 8);
  const auto command = fmt::format("echo {}; scp -t '{}'", mark, path);
  auto opened = co_await open_channel(command);
  if (!opened) co_return opened.error();
  auto channel = std::move(*opened);
  CommandOutput output;

  std::size_t position = std::string::npos;
  while ((position = output.out.find(mark + "\n")) == std::string::npos) {
    const auto ended = read_available(channel.get(), output, words_limit);
    if (!ended) co_return ended.error();
    if (output.out.find(mark + "\n") != std::string::npos) continue;
    if (*ended)
      co_return Error{Errc::remote,
                      fmt::format("the account's login shell there runs no commands; it said: {}",
                                  escape(output.out + output.err))};
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
  position += mark.size() + 1;

  auto reply = co_await scp_reply(channel.get(), output, position);
  if (!reply) co_return reply.error();
  const auto header =
      fmt::format("C0644 {} {}\n", bytes.size(), path.substr(path.find_last_of('/') + 1));
  const std::string closing(1, '\0');
  auto taken = co_await write(channel.get(), header, output, words_limit, false);
  if (!taken) co_return taken.error();
  if (*taken) {
    reply = co_await scp_reply(channel.get(), output, position);
    if (!reply) co_return reply.error();
    taken = co_await write(channel.get(), bytes, output, words_limit, true);
    if (!taken) co_return taken.error();
  }
  if (*taken) {
    taken = co_await write(channel.get(), closing, output, words_limit, false);
    if (!taken) co_return taken.error();
  }
  reply = co_await scp_reply(channel.get(), output, position);
  if (!reply) co_return reply.error();
  co_return co_await finish(std::move(channel), output, words_limit);
}

Session::Async<> Session::scp_reply(LIBSSH2_CHANNEL* channel, CommandOutput& output,
                                    std::size_t& position) {
  for (;;) {
    if (position < output.out.size()) {
      const char code = output.out[position];
      if (code == '\0') {
        ++position;
        co_return Result<>{};
      }
      if (code != '\1' && code != '\2')
        co_return Error{Errc::protocol,
                        fmt::format("scp there does not speak the protocol of scp; it said: {}",
                                    escape(output.out.substr(position)))};
      if (const auto end = output.out.find('\n', position); end != std::string::npos) {
        const auto words = output.out.substr(position + 1, end - position - 1);
        co_return Error{code_of(words), "scp on the target says: " + escape(words)};
      }
    }
    const auto size = output.out.size();
    const auto ended = read_available(channel, output, words_limit);
    if (!ended) co_return ended.error();
    if (output.out.size() > size) continue;
    if (*ended)
      co_return Error{
          Errc::remote,
          fmt::format(
              "scp on the target ended early; is it installed (openssh-client)? It said: {}",
              output.err.empty() ? "nothing" : escape(output.err))};
    auto waited = co_await ready();
    if (!waited) co_return waited.error();
  }
}

}  // namespace rcptsync::push

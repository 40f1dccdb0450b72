#include "service/control.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "service/answer.hpp"
#include "service/control_path.hpp"
#include "service/examine.hpp"
#include "service/give_order.hpp"
#include "service/offload.hpp"

namespace rcptsync::service {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::size_t most_connections = 16;
constexpr int queue_length = 128;
constexpr auto request_time = 5s;
constexpr auto answer_time = 60s;         ///< to take an answer
constexpr auto order_time = 30s;          ///< until we say that an order is taken and not finished
constexpr auto examination_time = 10min;  ///< at least; the targets' own timeouts end it before
constexpr std::size_t answers_kept = 256;

/// Keeps what goes to standard error over there.
class Collected final : public EventSink {
 public:
  void emit(const Event& event) override {
    const std::lock_guard lock(mutex_);
    frames_ += frame(FrameKind::event, to_json(event));
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(frames_, {});
  }

 private:
  std::mutex mutex_;
  std::string frames_;
};

// As long as it can take: all targets hang, so many at the same time.
std::chrono::steady_clock::duration time_for(const config::Config& config) {
  std::chrono::seconds longest{0};
  for (const auto& target : config.targets) longest = std::max(longest, target.timeout);
  const auto parallel = std::max<std::size_t>(config.rollout.parallel, 1);
  const auto rounds = (config.targets.size() + parallel - 1) / parallel;
  return std::max<std::chrono::seconds>(examination_time, longest * rounds + 1min);
}

std::string output_frames(std::string_view bytes) {
  std::string frames;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), largest_answer_frame)))
    frames += frame(FrameKind::output, bytes.substr(0, largest_answer_frame));
  return frames;
}

std::string event_frame(Priority priority, std::string message) {
  return frame(FrameKind::event,
               to_json(Event{EventKind::diagnostic, priority, std::move(message)}));
}

bool same_path(const std::filesystem::path& one, const std::filesystem::path& other) {
  std::error_code ignored;
  return one == other || std::filesystem::equivalent(one, other, ignored);
}

// May wait for a name service: not on the socket's thread.
std::string account_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return escape(found->pw_name);
  return fmt::format("uid {}", uid);
}

// The supplementary groups of the other side as they were when it connected: no look-up that could
// wait for a name service.
std::vector<gid_t> groups_of(int socket) {
  std::vector<gid_t> groups(64);
  for (int tries = 0; tries < 2; ++tries) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE) break;
    groups.resize(size / sizeof(gid_t));
  }
  return {};
}

}  // namespace

std::filesystem::path control_socket(const std::filesystem::path& state_dir) {
  const char* folders = std::getenv("RUNTIME_DIRECTORY");
  std::string_view first = folders == nullptr ? std::string_view() : folders;
  first = first.substr(0, first.find(':'));
  return (first.empty() ? state_dir : std::filesystem::path(first)) / control_socket_name;
}

struct Control::Connection : std::enable_shared_from_this<Connection> {
  explicit Connection(Stream::socket taken)
      : socket(std::move(taken)), deadline(socket.get_executor()) {}

  /// From now on it may last so long; then whatever waits for it ends with an error.
  void allow(std::chrono::steady_clock::duration time) {
    deadline.expires_after(time);
    deadline.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      if (error) return;
      if (const auto connection = weak.lock()) connection->close();
    });
  }
  void close() {
    boost::system::error_code ignored;
    socket.close(ignored);
    stop.request_stop();
  }
  /// One that goes away while it waits is closed.
  void watch() {
    socket.async_wait(Stream::socket::wait_read,
                      [weak = weak_from_this()](const boost::system::error_code& error) {
                        const auto left = weak.lock();
                        if (!error && left) left->close();
                      });
  }

  std::stop_source stop;  ///< for what asks sources on its behalf
  Stream::socket socket;
  asio::steady_timer deadline;
};

Control::Control(store::Store& store, std::function<void()> given)
    : store_(store),
      given_(std::move(given)),
      work_(asio::make_work_guard(io_)),
      answering_(4),
      acceptor_(io_),
      room_(io_, asio::steady_timer::time_point::max()),
      answer_came_(io_, asio::steady_timer::time_point::max()) {}

Control::~Control() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
  for (const auto& weak : connections_)
    if (const auto connection = weak.lock()) connection->stop.request_stop();
  answering_.join();
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<> Control::open(const std::filesystem::path& socket) {
  const auto failed = [&](int number) {
    return system_error(number, fmt::format("control socket {}", socket.native()));
  };
  auto address = SocketAddress::of(socket);
  if (!address) return address.error();
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd) return failed(errno);
  // Somebody who answers there is another daemon; what a dead one left is in the way.
  if (::connect(fd.get(), address->get(), address->length()) == 0 || errno == EAGAIN)
    return Error{Errc::busy,
                 fmt::format("control socket {}: another daemon listens there", socket.native())};
  if (::unlink(socket.c_str()) != 0 && errno != ENOENT) return failed(errno);
  // Nobody connects before listen(), so the mode is right from the first connection on.
  struct stat status {};
  if (::bind(fd.get(), address->get(), address->length()) != 0 ||
      ::chmod(socket.c_str(), 0660) != 0 || ::stat(socket.c_str(), &status) != 0 ||
      ::listen(fd.get(), queue_length) != 0)
    return failed(errno);
  path_ = socket;
  group_ = status.st_gid;
  boost::system::error_code error;
  acceptor_.assign(Stream(), fd.get(), error);
  if (error) return failed(error.value());
  fd.release();
  asio::co_spawn(io_, accept(), asio::detached);
  thread_ = std::thread([this] { io_.run(); });
  return {};
}

void Control::configure(std::shared_ptr<const config::Config> config) {
  const std::lock_guard lock(mutex_);
  config_ = std::move(config);
}

std::shared_ptr<const config::Config> Control::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

void Control::carried_out(const std::string& order, OrderAnswer answer) {
  asio::post(io_, [this, order, answer = std::move(answer)]() mutable {
    if (answers_.insert_or_assign(order, std::move(answer)).second) answered_.push_back(order);
    while (answered_.size() > answers_kept) {
      answers_.erase(answered_.front());
      answered_.pop_front();
    }
    answer_came_.cancel();
  });
}

// ---- connections
// ------------------------------------------------------------------------------------------------

asio::awaitable<void> Control::accept() {
  for (;;) {
    boost::system::error_code error;
    while (serving_ >= most_connections)
      co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    auto socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      // No descriptor is free: those that are open end by their deadlines.
      asio::steady_timer pause(io_, 1s);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    ++serving_;
    auto ended = [this](std::exception_ptr failure) {
      --serving_;
      room_.cancel();
      if (failure) std::rethrow_exception(failure);
    };
    auto connection = std::make_shared<Connection>(std::move(socket));
    std::erase_if(connections_, [](const auto& one) { return one.expired(); });
    connections_.push_back(connection);
    asio::co_spawn(io_, serve(std::move(connection)), std::move(ended));
  }
}

asio::awaitable<void> Control::serve(std::shared_ptr<Connection> connection) {
  connection->allow(request_time);
  const auto peer = peer_of(connection->socket.native_handle());
  auto request = co_await read_request_of(*connection);
  if (request) {
    if (peer.may_ask) {
      co_await respond(*connection, peer, std::move(*request));
    } else {
      auto name = [&] { return account_name(peer.uid); };
      const auto who = co_await offload(answering_, name);
      Reply reply;
      reply.end.refused = true;
      reply.end.reason = fmt::format(
          "{} is not in the group of the control socket; ask an administrator for it", who);
      co_await send(*connection, reply);
    }
  } else if (request.error().code == Errc::protocol || request.error().code == Errc::foreign ||
             request.error().code == Errc::limit) {
    Reply reply;
    reply.end.refused = true;
    reply.end.reason = request.error().message;
    co_await send(*connection, reply);
  }
  connection->deadline.cancel();
}

Control::Peer Control::peer_of(int socket) const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  const auto groups = groups_of(socket);
  return {credentials.uid, credentials.uid == 0 || credentials.uid == ::geteuid() ||
                               credentials.gid == group_ ||
                               std::find(groups.begin(), groups.end(), group_) != groups.end()};
}

asio::awaitable<Result<Request>> Control::read_request_of(Connection& connection) {
  boost::system::error_code error;
  std::string bytes(frame_header, '\0');
  co_await asio::async_read(connection.socket, asio::buffer(bytes),
                            asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Error{Errc::incomplete, "no request came"};
  const auto header = read_header(bytes);
  if (!header || header->kind != FrameKind::request)
    co_return Error{Errc::protocol, "that is no request of rcptsyncctl"};
  if (header->length > largest_request)
    co_return Error{Errc::limit, fmt::format("a request has at most {} bytes", largest_request)};
  bytes.resize(header->length);
  co_await asio::async_read(connection.socket, asio::buffer(bytes),
                            asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Error{Errc::incomplete, "the request was cut off"};
  co_return read_request(bytes);
}

std::optional<std::string> Control::refusal(const config::Config& config,
                                            const Request& request) const {
  if (request.state_dir.empty() ? same_path(request.config_file, config.file)
                                : same_path(request.state_dir, config.state_dir))
    return std::nullopt;
  return fmt::format("the daemon that listens here has the state {}", config.state_dir.native());
}

asio::awaitable<void> Control::respond(Connection& connection, const Peer& peer, Request request) {
  Reply reply;
  const auto config = this->config();
  if (auto why = refusal(*config, request)) {
    reply.end.refused = true;
    reply.end.reason = std::move(*why);
    co_await send(connection, reply);
    co_return;
  }
  if (!request.order.empty()) {
    co_await respond_order(connection, std::move(request.order), reply);
    co_await send(connection, reply);
    co_return;
  }
  const auto line = read_command_line(request.words);
  if (!line.command) {
    reply.frames = output_frames(line.out);
    if (!line.errors.empty()) reply.frames += event_frame(Priority::error, line.errors);
    reply.end.code = line.code;
    co_await send(connection, reply);
    co_return;
  }
  const auto& command = *line.command;
  connection.allow(time_for(*config));
  Collected errors;
  std::ostringstream out;
  const OperatorContext context{*config,
                                &store_,
                                errors,
                                command.json,
                                std::clamp<std::size_t>(request.width, 40, 500),
                                request.colour,
                                command.verbose,
                                connection.stop.get_token()};
  if (command.kind == Command::Kind::prune || command.kind == Command::Kind::keygen) {
    reply.end.refused = true;
    reply.end.reason = "that is for root alone, without the daemon";
  } else if (is_order(command.kind)) {
    auto give = [&]() -> Result<std::string> {
      return give_order(command, context, account_name(peer.uid), out);
    };
    auto given = co_await offload(answering_, give);
    reply.frames = errors.take() + output_frames(out.str());
    if (given)
      co_await respond_order(connection, std::move(*given), reply);
    else
      reply.frames += event_frame(Priority::error, given.error().message);
  } else if (needs_targets(command.kind)) {
    reply.end.code = co_await examine(command, context, answering_, out);
    reply.frames = errors.take() + output_frames(out.str());
  } else {
    connection.watch();
    auto print = [&] { return answer(command, context, out); };
    reply.end.code = co_await offload(answering_, print);
    reply.frames = errors.take() + output_frames(out.str());
  }
  co_await send(connection, reply);
}

asio::awaitable<void> Control::respond_order(Connection& connection, std::string order,
                                             Reply& reply) {
  given_();
  const auto until = system_clock().steady() + order_time;
  connection.allow(order_time + answer_time);
  // One that went away gives its place back at once.
  connection.socket.async_wait(
      Stream::socket::wait_read,
      [this, weak = connection.weak_from_this()](const boost::system::error_code& error) {
        const auto left = weak.lock();
        if (error || !left) return;
        left->close();
        answer_came_.cancel();
      });
  while (!answers_.contains(order) && connection.socket.is_open() &&
         system_clock().steady() < until) {
    boost::system::error_code ignored;
    asio::steady_timer limit(io_, until);
    limit.async_wait([this](const boost::system::error_code& error) {
      if (!error) answer_came_.cancel();
    });
    co_await answer_came_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  const auto found = answers_.find(order);
  if (found == answers_.end()) {
    reply.frames += output_frames(
        "The daemon has taken the order and has not finished it yet; status shows how it goes.\n");
    reply.end.code = exit_ok;
    co_return;
  }
  const auto& [code, message] = found->second;
  reply.frames +=
      code == exit_failed ? event_frame(Priority::error, message) : output_frames(message + "\n");
  reply.end.code = code;
}

asio::awaitable<void> Control::send(Connection& connection, const Reply& reply) {
  if (!connection.socket.is_open()) co_return;
  connection.allow(answer_time);
  const auto bytes = reply.frames + frame(FrameKind::end, to_json(reply.end));
  boost::system::error_code ignored;
  co_await asio::async_write(connection.socket, asio::buffer(bytes),
                             asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace rcptsync::service

#include "service/control_client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdlib>
#include <ostream>

#include "base/handle.hpp"
#include "base/time.hpp"
#include "service/control.hpp"
#include "service/control_path.hpp"

namespace rcptsync::service {
namespace {

/// A daemon that does not take a connection or a request for so long hangs.
constexpr timeval patience{60, 0};
/// An answer may wait for a directory or for a target.
constexpr timeval answer_patience{660, 0};

class Line {
 public:
  static Result<Line> open(const std::filesystem::path& socket) {
    const auto address = SocketAddress::of(socket);
    if (!address) return address.error();
    Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!fd) return system_error(errno, "control socket");
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &answer_patience, sizeof answer_patience);
    if (::connect(fd.get(), address->get(), SocketAddress::length()) == 0)
      return Line(std::move(fd), socket.native());
    auto error = system_error(errno, fmt::format("control socket {}", socket.native()));
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
      error.code = Errc::not_found;
    else if (errno == EACCES || errno == EPERM)
      error.code = Errc::permission;
    return error;
  }

  Result<> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return broken(errno);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
  }

  Result<std::string> read(std::size_t length) {
    std::string bytes(length, '\0');
    for (std::size_t have = 0; have < length;) {
      const auto came = ::recv(fd_.get(), bytes.data() + have, length - have, 0);
      if (came < 0 && errno == EINTR) continue;
      if (came < 0) return broken(errno);
      if (came == 0)
        return Error{Errc::incomplete, name_ + ": the daemon ended before it had answered"};
      have += static_cast<std::size_t>(came);
    }
    return bytes;
  }

 private:
  Line(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Error broken(int number) const {
    if (number == EAGAIN) return {Errc::timeout, name_ + ": the daemon does not answer"};
    if (number == EPIPE || number == ECONNRESET)
      return {Errc::incomplete, name_ + ": the daemon ended before it had answered"};
    return system_error(number, name_);
  }

  Fd fd_;
  std::string name_;
};

// Reads frames up to the end.
Result<CommandEnd> hand_on(Line& line, std::ostream& out, EventSink& errors) {
  for (;;) {
    const auto bytes = line.read(frame_header);
    if (!bytes) return bytes.error();
    const auto header = read_header(*bytes);
    if (!header || header->length > largest_answer_frame)
      return Error{Errc::protocol, "the daemon answers what rcptsyncctl does not understand"};
    const auto content = line.read(header->length);
    if (!content) return content.error();
    switch (header->kind) {
      case FrameKind::output:
        out << *content;
        break;
      case FrameKind::event:
        if (const auto event = read_event(*content))
          errors.emit(*event);
        else
          return event.error();
        break;
      case FrameKind::end:
        out.flush();
        return read_end(*content);
      case FrameKind::request:
        return Error{Errc::protocol, "the daemon answers with a request"};
    }
  }
}

Result<int> ask(const std::filesystem::path& socket, const Request& request, std::ostream& out,
                EventSink& errors) {
  auto line = Line::open(socket);
  if (!line) return line.error();
  // One that refuses for reasons of its own may close before it has read everything.
  const auto sent = line->write(frame(FrameKind::request, to_json(request)));
  const auto end = hand_on(*line, out, errors);
  if (!end) return sent ? end.error() : sent.error();
  if (end->refused)
    return Error{Errc::foreign, fmt::format("{}: {}", socket.native(), end->reason)};
  return end->code;
}

}  // namespace

std::vector<std::filesystem::path> control_sockets(const std::filesystem::path& state_dir) {
  std::vector<std::filesystem::path> sockets;
  const auto add = [&](const std::filesystem::path& socket) {
    if (std::find(sockets.begin(), sockets.end(), socket) == sockets.end())
      sockets.push_back(socket);
  };
  if (std::getenv("RUNTIME_DIRECTORY") != nullptr) add(control_socket({}));
  add(std::filesystem::path(system_runtime_folder) / control_socket_name);
  if (!state_dir.empty()) add(state_dir / control_socket_name);
  return sockets;
}

Result<int> ask_daemon(const Request& request, std::ostream& out, EventSink& errors) {
  std::optional<Error> worst;
  for (const auto& socket : control_sockets(request.state_dir)) {
    auto asked = ask(socket, request, out, errors);
    if (asked) return asked;
    auto code = asked.error().code;
    // Nobody but its owner gets into a state folder: that says nothing of a daemon.
    if (code == Errc::permission && socket.parent_path() == request.state_dir)
      code = Errc::not_found;
    if (code != Errc::not_found && code != Errc::permission && code != Errc::foreign) return asked;
    if (!worst || worst->code == Errc::not_found) worst = Error{code, asked.error().message};
  }
  return *worst;
}

}  // namespace rcptsync::service

#include "source/tcp_connect.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;
using namespace std::chrono_literals;

namespace {

using Steady = std::chrono::steady_clock;

// A socket on a free port of 127.0.0.1 that listens, or with a backlog of -1 does not.
struct Listener {
  explicit Listener(int backlog) : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(address.sin_port);
    if (backlog >= 0) REQUIRE(::listen(fd.get(), backlog) == 0);
  }
  Fd fd;
  std::uint16_t port = 0;
};

}  // namespace

TEST_CASE("a name and an address are connected to, and the socket is blocking") {
  const Listener listener(8);
  for (const auto* host : {"127.0.0.1", "localhost"}) {
    const auto fd = tcp_connect(host, listener.port, Steady::now() + 5s, {});
    REQUIRE(fd);
    CHECK((::fcntl(fd->get(), F_GETFL) & O_NONBLOCK) == 0);
    CHECK((::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("a port on which nobody listens is unreachable, with address and reason") {
  const Listener closed(-1);
  const auto fd = tcp_connect("127.0.0.1", closed.port, Steady::now() + 5s, {});
  REQUIRE_FALSE(fd);
  CHECK(fd.error().code == Errc::unreachable);
  CHECK(fd.error().message.find("127.0.0.1 port " + std::to_string(closed.port)) !=
        std::string::npos);
  CHECK(fd.error().message.find("refused") != std::string::npos);
}

TEST_CASE("a server that does not answer the first packet costs no more than the deadline") {
  // A full backlog makes the kernel drop further connection requests.
  const Listener full(0);
  std::vector<Result<Fd>> waiting;
  for (int i = 0; i < 3; ++i)
    waiting.push_back(tcp_connect("127.0.0.1", full.port, Steady::now() + 200ms, {}));
  const auto start = Steady::now();
  const auto fd = tcp_connect("127.0.0.1", full.port, Steady::now() + 300ms, {});
  REQUIRE_FALSE(fd);
  CHECK(fd.error().code == Errc::timeout);
  CHECK(Steady::now() - start < 3s);

  std::stop_source stop;
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto stopped = tcp_connect("127.0.0.1", full.port, Steady::now() + 1h, stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == Errc::cancelled);
}

TEST_CASE("a stop that was requested before is obeyed without a packet") {
  std::stop_source stop;
  stop.request_stop();
  for (const auto* host : {"127.0.0.1", "host.invalid"}) {
    const auto fd = tcp_connect(host, 1, Steady::now() + 1h, stop.get_token());
    REQUIRE_FALSE(fd);
    CHECK((fd.error().code == Errc::cancelled || fd.error().code == Errc::unreachable));
  }
}

TEST_CASE("a name that cannot be is told with the name, escaped") {
  const auto fd = tcp_connect("no such\nhost", 389, Steady::now() + 10s, {});
  REQUIRE_FALSE(fd);
  CHECK(fd.error().message.find("no such\\nhost") != std::string::npos);
}

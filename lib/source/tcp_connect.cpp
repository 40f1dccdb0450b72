#include "source/tcp_connect.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/escape.hpp"

namespace rcptsync::source {
namespace {

using Steady = std::chrono::steady_clock;
using Addresses = Handle<addrinfo, freeaddrinfo>;

// How long a wait for a connection may overlook a stop request.
constexpr std::chrono::milliseconds stop_interval{100};

constexpr int keepalive_idle_s = 5;
constexpr int keepalive_interval_s = 5;
constexpr int keepalive_probes = 3;

Error cancelled() {
  return {Errc::cancelled, "stopped while connecting"};
}

int lookup(const std::string& host, std::uint16_t port, int flags, Addresses& addresses) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code == 0) addresses.reset(list);
  return code;
}

// getaddrinfo(3) can wait for a silent name server much longer than we may and cannot be
// interrupted. It runs on a thread that is left behind if it takes too long; what the two share
// lives as long as either.
Result<Addresses> resolve(const std::string& host, std::uint16_t port, SteadyTime deadline,
                          const std::stop_token& stop) {
  Addresses numeric;
  if (lookup(host, port, AI_NUMERICHOST, numeric) == 0) return numeric;

  struct Shared {
    std::mutex mutex;
    std::condition_variable_any done;
    bool finished = false;
    int code = 0;
    Addresses addresses;
  };
  auto shared = std::make_shared<Shared>();
  std::thread([shared, host, port] {
    Addresses addresses;
    const int code = lookup(host, port, 0, addresses);
    const std::lock_guard lock(shared->mutex);
    shared->finished = true;
    shared->code = code;
    shared->addresses = std::move(addresses);
    shared->done.notify_all();
  }).detach();

  std::unique_lock lock(shared->mutex);
  shared->done.wait_until(lock, stop, deadline, [&] { return shared->finished; });
  if (shared->finished && shared->code == 0) return std::move(shared->addresses);
  if (stop.stop_requested()) return cancelled();
  if (!shared->finished)
    return Error{Errc::timeout, fmt::format("the name {} is not resolved in time; check the name "
                                            "servers in /etc/resolv.conf",
                                            escape(host))};
  return Error{Errc::unreachable,
               fmt::format("the name {} cannot be resolved: {}; check its spelling and the DNS",
                           escape(host), ::gai_strerror(shared->code))};
}

std::string numeric_host(const addrinfo& address) {
  char text[NI_MAXHOST];
  if (::getnameinfo(address.ai_addr, address.ai_addrlen, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) != 0)
    return "?";
  return text;
}

// Waits until a connect(2) in progress ends, in steps that see a stop request.
Result<> wait_connected(int fd, SteadyTime deadline, const std::stop_token& stop) {
  for (;;) {
    if (stop.stop_requested()) return cancelled();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now());
    if (left.count() <= 0) return Error{Errc::timeout, "no answer in time"};
    pollfd waiting{fd, POLLOUT, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min(left, stop_interval).count()));
    if (ready < 0 && errno != EINTR) return system_error(errno, "cannot wait for the connection");
    if (ready > 0) break;
  }
  int status = 0;
  socklen_t size = sizeof status;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &size);
  if (status != 0) return Error{Errc::unreachable, std::generic_category().message(status)};
  return {};
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

Result<Fd> connect_to(const addrinfo& address, SteadyTime deadline, const std::stop_token& stop) {
  Fd fd{::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd) return system_error(errno, "cannot make a socket");
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS)
      return Error{Errc::unreachable, std::generic_category().message(errno)};
    if (auto connected = wait_connected(fd.get(), deadline, stop); !connected)
      return connected.error();
  }
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  // A line that is dead, not only silent, is noticed earlier than by read_timeout.
  set_option(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
  set_option(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
  set_option(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

}  // namespace

Result<Fd> tcp_connect(const std::string& host, std::uint16_t port, SteadyTime deadline,
                       const std::stop_token& stop) {
  auto resolved = resolve(host, port, deadline, stop);
  if (!resolved) return resolved.error();

  std::vector<const addrinfo*> addresses;
  for (const addrinfo* one = resolved->get(); one != nullptr; one = one->ai_next)
    addresses.push_back(one);
  Error failure{Errc::unreachable, "the name has no address"};
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto share = (deadline - Steady::now()) / static_cast<long>(addresses.size() - i);
    auto fd = connect_to(*addresses[i], Steady::now() + share, stop);
    if (fd || fd.error().code == Errc::cancelled) return fd;
    failure = fd.error().within(
        fmt::format("cannot connect to {} port {}", numeric_host(*addresses[i]), port));
  }
  failure.message += "; check the server, the port and the firewalls between";
  return failure;
}

}  // namespace rcptsync::source

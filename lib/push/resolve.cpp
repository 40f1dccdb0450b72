#include "push/resolve.hpp"

#include <fmt/format.h>
#include <netdb.h>

#include <boost/asio/post.hpp>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "push/signal.hpp"

namespace rcptsync::push {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::size_t most_addresses = 16;

// What the thread and the coroutine share. The coroutine closes the box when it goes, and with it
// the thread loses the executor, which may be gone soon after.
struct Mailbox {
  std::mutex mutex;
  bool open = true;                 // guarded by mutex
  asio::any_io_executor executor;   // guarded by mutex
  std::shared_ptr<Signal> arrived;  // used on the executor only
  int status = 0;                   // written before `arrived` fires
  Endpoints endpoints;              // written before `arrived` fires
};

void look_up(const std::shared_ptr<Mailbox>& box, const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  const Handle<addrinfo, ::freeaddrinfo> owned{status == 0 ? list : nullptr};
  Endpoints endpoints;
  for (const auto* entry = owned.get(); entry != nullptr && endpoints.size() < most_addresses;
       entry = entry->ai_next) {
    tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    endpoint.resize(entry->ai_addrlen);
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    endpoint.port(port);
    endpoints.push_back(endpoint);
  }

  const std::lock_guard lock(box->mutex);
  if (!box->open) return;
  box->status = status;
  box->endpoints = std::move(endpoints);
  asio::post(box->executor, [signal = box->arrived] { signal->fire(); });
}

struct Closer {
  std::shared_ptr<Mailbox> box;
  explicit Closer(std::shared_ptr<Mailbox> mailbox) : box(std::move(mailbox)) {}
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;
  ~Closer() {
    const std::lock_guard lock(box->mutex);
    box->open = false;
    box->executor = {};
    box->arrived.reset();
  }
};

}  // namespace

asio::awaitable<Result<Endpoints>> resolve(asio::any_io_executor executor, std::string host,
                                           std::uint16_t port, SteadyTime deadline) {
  boost::system::error_code not_literal;
  const auto address = asio::ip::make_address(host, not_literal);
  if (!not_literal) {
    Endpoints literal;
    literal.emplace_back(address, port);
    co_return literal;
  }

  const auto arrived = std::make_shared<Signal>(executor);
  const auto box = std::make_shared<Mailbox>();
  box->executor = executor;
  box->arrived = arrived;
  const Closer closer(box);
  try {
    std::thread([box, host, port] { look_up(box, host, port); }).detach();
  } catch (const std::system_error& error) {
    co_return system_error(error.code().value(), "cannot start a thread to look up the host name");
  }
  const auto waited = co_await arrived->wait(deadline);
  if (!waited) {
    if (waited.error().code != Errc::timeout) co_return waited.error();
    co_return Error{Errc::timeout,
                    fmt::format("the name servers give no answer for {}", escape(host))};
  }
  if (box->status != 0)
    co_return Error{box->status == EAI_AGAIN ? Errc::unreachable : Errc::not_found,
                    fmt::format("cannot find the address of {}: {}", escape(host),
                                ::gai_strerror(box->status))};
  if (box->endpoints.empty())
    co_return Error{Errc::not_found, fmt::format("{} has no address", escape(host))};
  co_return std::move(box->endpoints);
}

}  // namespace rcptsync::push

#include "push/signal.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace rcptsync::push {

namespace asio = boost::asio;

asio::awaitable<Result<>> Signal::wait(SteadyTime deadline) {
  if (!fired_) {
    timer_.expires_at(deadline);
    const auto [error] = co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!fired_ && !error)
      co_return Error{Errc::timeout, "no answer within the time that timeout: allows"};
  }
  const auto state = co_await asio::this_coro::cancellation_state;
  if (!fired_ || state.cancelled() != asio::cancellation_type::none)
    co_return Error{Errc::cancelled, "told to stop"};
  co_return Result<>{};
}

}  // namespace rcptsync::push

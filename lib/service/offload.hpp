// offload — runs blocking work on a thread pool while a coroutine waits for it.
//
//   auto report = co_await offload(pool, commit);   // commit: a callable that lives until then
//
// The callable is named before the call, never a temporary: GCC 12 destroys a temporary closure in
// a co_await expression twice.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <type_traits>
#include <utility>

namespace rcptsync::service {

/// Calls `work()` on a thread of `pool` and resumes on the coroutine's own executor with what it
/// returned. The callable must not throw (nothing in this project does for an expected failure) and
/// its references must outlive the wait: a coroutine that waits here is not cancelled, it waits.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> offload(boost::asio::thread_pool& pool,
                                                            Work& work) {
  std::optional<std::invoke_result_t<Work&>> result;
  auto start = [&pool, &work, &result](auto handler) {
    auto guard = boost::asio::make_work_guard(handler);
    boost::asio::post(
        pool, [&work, &result, handler = std::move(handler), guard = std::move(guard)]() mutable {
          result.emplace(work());
          boost::asio::post(guard.get_executor(), std::move(handler));
        });
  };
  co_await boost::asio::async_initiate<decltype(boost::asio::use_awaitable), void()>(
      start, boost::asio::use_awaitable);
  co_return std::move(*result);
}

}  // namespace rcptsync::service

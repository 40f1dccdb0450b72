// control — the daemon's socket: answers rcptsyncctl for members of the group that the socket
// belongs to, takes their orders, and hears of those that the tool saved itself.
//
// Threads of its own: whatever a client does or leaves undone, no cycle and no push waits for it.
// A request has a deadline, an answer too; at most so many connections are served at a time, and
// the others wait in the kernel's queue.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "service/command.hpp"
#include "service/control_protocol.hpp"
#include "service/operator.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

/// Where the daemon's socket stands: in the first folder of $RUNTIME_DIRECTORY (systemd.exec(5)),
/// else in `state_dir`.
std::filesystem::path control_socket(const std::filesystem::path& state_dir);

/// How an order went, for the one who gave it.
struct OrderAnswer {
  ExitCode code = exit_ok;
  std::string message;  ///< lines, without the last newline
};

class Control {
 public:
  /// `given`: called, on a thread of the socket, when an order was saved. The store outlives this.
  Control(store::Store& store, std::function<void()> given);
  ~Control();

  /// Listens. An error leaves the daemon without a socket and is no reason to end: orders are
  /// found by their files.
  Result<> open(const std::filesystem::path& socket);
  /// Takes over a configuration: before open() and after SIGHUP. From any thread.
  void configure(std::shared_ptr<const config::Config> config);
  /// The order was carried out, or cannot be. From any thread.
  void carried_out(const std::string& order, OrderAnswer answer);

 private:
  using Stream = boost::asio::local::stream_protocol;
  struct Connection;
  struct Peer {
    uid_t uid = 65534;
    bool may_ask = false;
  };
  struct Reply {
    std::string frames;
    CommandEnd end;
  };

  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> serve(std::shared_ptr<Connection> connection);
  boost::asio::awaitable<Result<Request>> read_request_of(Connection& connection);
  boost::asio::awaitable<void> respond(Connection& connection, const Peer& peer, Request request);
  boost::asio::awaitable<void> respond_order(Connection& connection, std::string order,
                                             Reply& reply);
  boost::asio::awaitable<void> send(Connection& connection, const Reply& reply);
  [[nodiscard]] Peer peer_of(int socket) const;
  std::shared_ptr<const config::Config> config() const;
  std::optional<std::string> refusal(const config::Config& config, const Request& request) const;

  store::Store& store_;
  std::function<void()> given_;
  mutable std::mutex mutex_;
  std::shared_ptr<const config::Config> config_;

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::thread_pool answering_;
  Stream::acceptor acceptor_;
  boost::asio::steady_timer room_;  ///< cancelled when a connection ends
  std::filesystem::path path_;
  gid_t group_ = 0;  ///< that the socket belongs to
  std::size_t serving_ = 0;
  std::vector<std::weak_ptr<Connection>> connections_;  ///< of the socket's thread, while it runs
  /// Orders that were carried out lately, for those who ask a moment later.
  std::map<std::string, OrderAnswer> answers_;
  std::deque<std::string> answered_;
  boost::asio::steady_timer answer_came_;
  std::thread thread_;
};

}  // namespace rcptsync::service

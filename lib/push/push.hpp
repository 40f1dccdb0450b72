// push — brings one target's tables to it over SSH and makes its MTA serve them, or leaves
// everything as it was.
//
// Coroutines over non-blocking libssh2 on the caller's io_context: any number at the same time on
// one thread. Each step has a deadline that holds against a peer which hangs, drips or floods. The
// story of a push in mode `scp`: connect → host key → key → look (digests, map type) → same digest:
// done → first push: judge what it holds → send to a new name → rebuild beside, read back, rename →
// digests again.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/event.hpp"
#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::push {

/// What a push is to bring about. Views and pointers live until the push has ended.
struct Plan {
  const config::Target* target = nullptr;
  std::string_view recipients;  ///< the exact bytes of the table
  Digest recipients_digest;
  bool has_access = false;  ///< an access table `<path>_access` belongs to it
  std::string_view access;
  Digest access_digest;
  bool force = false;  ///< send even if the target has the digests
  /// Digests that an earlier push left there; a target that holds neither these nor the new ones
  /// has drifted.
  std::optional<Digest> believed;
  /// Kept at the bytes of tables that went out so far, if it is not null.
  std::uint64_t* sent = nullptr;
  /// Set for a target whose own table nobody judged yet: called with that table's bytes (not called
  /// if it has none). An error holds the push: nothing is sent, and the outcome is `held`.
  std::function<Result<>(std::string_view present)> judge_present;
};

struct Outcome {
  enum class Kind {
    unchanged,  ///< the target already held these digests; nothing was sent
    replaced,   ///< it serves the new tables now
    held,       ///< judge_present refused
  };
  Kind kind = Kind::unchanged;
  bool drifted = false;               ///< it held something that was neither believed nor new
  std::uint64_t bytes_sent = 0;       ///< of tables
  std::string map_type;               ///< that was used: `lmdb`
  std::string refusal;                ///< held: why
  std::vector<std::string> warnings;  ///< for example: main.cf does not name this table
};

/// One push, ended by success, an error or the target's `timeout` (for all of it together; at least
/// one minute for each 64 MiB of table). Cancelling the coroutine abandons it at the next step;
/// nothing half-installed stays in force on the target. The Error's message names the target's
/// host, the step, the cause and the way out.
boost::asio::awaitable<Result<Outcome>> push(Plan plan);

/// For --check: what can be known to be wrong without a network: key files (mode, format, RSA with
/// a libssh2 that cannot use it), known_hosts (readable, the host in it, garbage lines), pins. One
/// line each.
std::vector<std::string> check_target(const config::Target& target);

/// Call once at the start of the program, before threads.
Result<> initialize();

}  // namespace rcptsync::push

// source — the one language of everything that knows recipients: a stream of object changes, closed
// by a verdict.
//
// read() and watch() block, so the service calls them on threads of their own. Anything short of
// complete is an error, and the caller then believes nothing of the stream.
//
// What a source wants to remember from one read to the next (which server, how far that had come,
// where an incremental read goes on) is its cookie: bytes that only the source understands. The
// service keeps the last one of a complete read and hands it to every read, full or incremental. A
// cookie that is missing, foreign, damaged, or of other settings is no error; it means a full read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"

namespace rcptsync::source {

enum class ReadKind { full, incremental };

struct ReadRequest {
  /// full: read everything. incremental: go on from `cookie` if that can be done without any doubt,
  /// else read in full.
  ReadKind kind = ReadKind::full;
  std::string cookie;            ///< what the last complete read of this source returned; or empty
  std::string preferred_server;  ///< Complete::server of the last read: tried first, if it is still
                                 ///< a server of this source
};

/// The verdict of a read that saw all it was asked for.
struct Complete {
  ReadKind kind = ReadKind::full;  ///< what it was in the end
  /// Whatever the stream did not name as being there (upsert, present) is gone. Always in a full
  /// read; in an incremental one if the server listed what is unchanged (RFC 4533 §3.3.1).
  bool unseen_gone = true;
  /// Of a full read: incremental ones may leave out that an object was deleted, because the account
  /// may not see it. `warnings` said so.
  bool deletions_unseen = false;
  std::uint64_t objects = 0;  ///< named as being there in this read
  std::uint64_t references =
      0;  ///< LDAP: continuation references to other servers, which are not followed
  std::string
      server;  ///< which of several answered; removals after a change of it need a second look
  /// The server has not seen all that an earlier complete read saw: a replica that lags, an older
  /// copy. What it adds is believed, what it lacks waits. Empty: it does not lag, as far as can be
  /// told. Else why, for a person: `dc2 has not yet all that was read from dc1`.
  std::string behind;
  std::string cookie;  ///< for the next read; empty: nothing to remember
  std::vector<std::string>
      warnings;  ///< for the log: servers that did not answer before this one did, why no
                 ///< incremental read was made although one was asked for, …
};

/// Where a watch begins.
struct WatchRequest {
  std::string cookie;            ///< of the last complete read
  std::string preferred_server;  ///< Complete::server of the last read
  /// Called, if it is not empty, as soon as the watch stands: what changes from now on rings. Only
  /// for the log and the status; a source that does not call it is taken to stand when it rings.
  std::function<void()> listening = {};
};

class Source {
 public:
  virtual ~Source() = default;

  /// Blocks until all is read, a deadline of the source passes, or `stop` is requested (within 1 s:
  /// Errc::cancelled). The message names the server, the step, the cause and the way out. If
  /// several servers were tried and all failed, it names each. Passwords never appear.
  virtual Result<Complete> read(const ReadRequest& request, recipient::ObjectSink& sink,
                                std::stop_token stop) = 0;

  /// True if watch() can tell of changes, as this source is configured.
  [[nodiscard]] virtual bool can_watch() const { return false; }

  /// A doorbell: blocks, and calls `ring` soon after something may have changed, so that a poll is
  /// worth its while before its time. It says nothing about what changed and may ring for nothing;
  /// the schedule stays the safety net. Returns Errc::cancelled within 1 s after `stop`, another
  /// error when the connection is lost (the service calls it again, later), and Errc::invalid if
  /// the server cannot do it, with the reason (the service then leaves it).
  /// Runs beside read() on another thread.
  virtual Result<> watch(const WatchRequest& request, const std::function<void()>& ring,
                         std::stop_token stop);
};

/// For --check: what can be known to be wrong without a network: missing or readable secrets,
/// missing files, files that are not what they should be. One line each.
std::vector<std::string> check_source(const config::Source& source);

/// A source as configured. Errc::invalid for settings that this version cannot carry out.
Result<std::unique_ptr<Source>> create_source(const config::Source& source);

}  // namespace rcptsync::source

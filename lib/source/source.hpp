// source — the one language of everything that knows recipients: a stream of object changes, closed
// by a verdict.
//
// read() blocks, so the service calls it on a thread of its own. A verdict of complete(full) means:
// whatever was not seen is gone. Anything short of complete is an error, and the caller then
// believes nothing of the stream.
#pragma once

#include <cstdint>
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
  /// full: read everything. incremental: go on from `cookie` if that can be done, else read in
  /// full.
  ReadKind kind = ReadKind::full;
  std::string cookie;            ///< what the last read of this source returned; may be empty
  std::string preferred_server;  ///< Complete::server of the last read: tried first, if it is still
                                 ///< configured
};

/// The verdict of a read that saw all it was asked for.
struct Complete {
  ReadKind kind = ReadKind::full;
  std::uint64_t objects = 0;  ///< seen in this read
  std::uint64_t references =
      0;  ///< LDAP: continuation references to other servers, which are not followed
  std::string
      server;  ///< which of several answered; removals after a change of it need a second look
  std::string cookie;  ///< for the next incremental read; empty: there is none
  std::vector<std::string>
      warnings;  ///< for the log: servers that did not answer before this one did, …
};

class Source {
 public:
  virtual ~Source() = default;

  /// Blocks until all is read, a deadline of the source passes, or `stop` is requested (within 1 s:
  /// Errc::cancelled). The message names the server, the step, the cause and the way out. If
  /// several servers were tried and all failed, it names each. Passwords never appear.
  virtual Result<Complete> read(const ReadRequest& request, recipient::ObjectSink& sink,
                                std::stop_token stop) = 0;
};

/// For --check: what can be known to be wrong without a network: missing or readable secrets,
/// missing files, source types that this version cannot read. One line each.
std::vector<std::string> check_source(const config::Source& source);

/// A source as configured. Errc::invalid for a type that this version cannot read.
Result<std::unique_ptr<Source>> create_source(const config::Source& source);

}  // namespace rcptsync::source

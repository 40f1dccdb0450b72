// increments — what one kind of LDAP server can say about changes since an earlier moment.
//
// Two kinds: Active Directory (DirSync and the change notification control, MS-ADTS 3.1.1.3.4.1),
// and servers with RFC 4533 content synchronization (OpenLDAP's syncprov). The source holds the one
// for its type, opens the connections, tries the servers in order, and decides; here is only the
// conversation on one connection.
//
// A mark says "everything up to here was seen". It is taken before a full read begins on the same
// connection, so that what changes meanwhile is told twice rather than never.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"
#include "source/ldap_connection.hpp"

namespace rcptsync::source {

/// How far a server has come, per origin of changes: invocationId → USN of 20 digits, or server id
/// → CSN. Values of one origin compare bytewise.
using Progress = std::map<std::string, std::string>;

struct Mark {
  /// Where the next incremental read goes on; only the class that made it understands it. Empty:
  /// this server, or this account, can only be read in full.
  std::string cookie;
  /// Which database answered (invocationId, server id). Empty: the server does not say.
  std::string origin;
  /// What it has seen, of itself and of all others it replicates from. Empty: it does not say.
  Progress progress;
  /// For a person, if `cookie` is empty: why, and what the administrator can do about it. And what
  /// the administrator should know although it works: deletions stay unseen without a right, ….
  std::string note;
  /// Incremental reads from here on may leave out that an object was deleted; `note` says so.
  bool deletions_unseen = false;
};

struct Increment {
  Mark mark;                  ///< for the next time
  std::uint64_t objects = 0;  ///< named as being there
  bool unseen_gone = false;   ///< as source::Complete
};

/// Whom listen() tells. Both are there.
struct Bell {
  std::function<void()> ring;    ///< something may have changed
  std::function<void()> stands;  ///< once: the server accepted to tell; what changes now rings
};

class Increments {
 public:
  virtual ~Increments() = default;

  /// The mark of this moment. With `incremental: off` it only says how far the server has come. An
  /// error is one of the connection, not of the ability.
  virtual Result<Mark> mark(LdapConnection& connection) = 0;

  /// Tells the sink everything that changed since `since`, which an earlier mark() or read() gave;
  /// perhaps more, never less. Errc::foreign: the server cannot go on from there (another database,
  /// a cookie it does not know, a sink that knows less than the server thinks, any other doubt):
  /// the caller reads in full; the message says why. Every other error is a failed read.
  virtual Result<Increment> read(LdapConnection& connection, const Mark& since,
                                 recipient::ObjectSink& sink) = 0;

  /// Blocks on a connection of its own and rings after each change from `since` on. Returns
  /// only with an error: Errc::invalid, the server cannot do it (why); Errc::cancelled; or the
  /// connection is lost. An idle directory is no error: no read_timeout applies while it waits, but
  /// a dead peer is noticed within a minute.
  virtual Result<> listen(LdapConnection& connection, const Mark& since, const Bell& bell) = 0;
};

/// DirSync. `settings` outlives it.
std::unique_ptr<Increments> create_dirsync(const config::LdapSource& settings);
/// RFC 4533. `settings` outlives it.
std::unique_ptr<Increments> create_content_sync(const config::LdapSource& settings);

}  // namespace rcptsync::source

// result — how every public function of this project says that it did not work.
//
// A Result<T> holds a value or an Error. An Error has a code, for the program to decide by, and a
// message, for a person: what was done, to what, why it failed and what to do about it.
// Exceptions are left to bugs and to memory that ran out; no expected failure throws.
#pragma once

#include <boost/system/result.hpp>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>

namespace rcptsync {

enum class Errc {
  invalid,      ///< the caller or the administrator gave something that cannot be right
  not_found,    ///< a file, a record, an attribute or a host name is not there
  permission,   ///< the operating system, the directory or the target says no
  busy,         ///< somebody else holds it; trying later can help
  no_space,     ///< a disk, a quota or a map is full
  io,           ///< the operating system reported another input or output error
  damaged,      ///< stored or received data is not what was written or promised
  foreign,      ///< the file is whole, but belongs to another program, version or state
  limit,        ///< larger or longer than this program accepts
  timeout,      ///< a deadline passed
  unreachable,  ///< no connection: refused, no route, name not resolved
  credentials,  ///< password, key or ticket missing, refused or expired
  untrusted,    ///< a certificate or a host key did not verify
  protocol,     ///< the peer does not follow its protocol
  remote,       ///< the peer understood and reported a failure
  incomplete,   ///< an answer ended before all of it was there
  cancelled,    ///< we were told to stop
  internal,     ///< a bug here
};

/// The code's stable name, for logs and JSON: `timeout`, `no_space`, …
std::string_view to_string(Errc code);

struct Error {
  Errc code = Errc::internal;
  std::string message;

  /// The same error seen from further outside: `context: message`.
  [[nodiscard]] Error within(std::string_view context) const {
    return {code, std::string(context) + ": " + message};
  }
};

/// `timeout: dc1: no answer`; what a failed check in a test prints.
std::ostream& operator<<(std::ostream& out, const Error& error);

/// boost::system::result asks for this where value() is called on an error, which is a bug.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

template <class T = void>
using Result = boost::system::result<T, Error>;

/// An Error that carries the text of an errno value: `message: No such file or directory`.
Error system_error(int errno_value, std::string_view message);

}  // namespace rcptsync

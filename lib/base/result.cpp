#include "base/result.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <ostream>
#include <stdexcept>
#include <system_error>

namespace rcptsync {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid:
      return "invalid";
    case Errc::not_found:
      return "not_found";
    case Errc::permission:
      return "permission";
    case Errc::busy:
      return "busy";
    case Errc::no_space:
      return "no_space";
    case Errc::io:
      return "io";
    case Errc::damaged:
      return "damaged";
    case Errc::foreign:
      return "foreign";
    case Errc::limit:
      return "limit";
    case Errc::timeout:
      return "timeout";
    case Errc::unreachable:
      return "unreachable";
    case Errc::credentials:
      return "credentials";
    case Errc::untrusted:
      return "untrusted";
    case Errc::protocol:
      return "protocol";
    case Errc::remote:
      return "remote";
    case Errc::incomplete:
      return "incomplete";
    case Errc::cancelled:
      return "cancelled";
    case Errc::internal:
      return "internal";
  }
  return "internal";
}

std::ostream& operator<<(std::ostream& out, const Error& error) {
  return out << to_string(error.code) << ": " << error.message;
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  throw std::logic_error(fmt::format("{}:{}: value of a failed result: {}", where.file_name(),
                                     where.line(), error.message));
}

Error system_error(int errno_value, std::string_view message) {
  const auto code = [errno_value] {
    switch (errno_value) {
      case ENOENT:
      case ENOTDIR:
        return Errc::not_found;
      case EACCES:
      case EPERM:
      case EROFS:
        return Errc::permission;
      case ENOSPC:
      case EDQUOT:
        return Errc::no_space;
      case EAGAIN:
      case EBUSY:
        return Errc::busy;
      case EFBIG:
      case ENAMETOOLONG:
        return Errc::limit;
      case ETIMEDOUT:
        return Errc::timeout;
      case ECONNREFUSED:
      case ENETUNREACH:
      case EHOSTUNREACH:
      case ECONNRESET:
        return Errc::unreachable;
      default:
        return Errc::io;
    }
  }();
  return {code, fmt::format("{}: {}", message, std::generic_category().message(errno_value))};
}

}  // namespace rcptsync

#include "store/lmdb.hpp"

#include <fmt/format.h>

namespace rcptsync::store::lmdb {

Error error(int code, std::string_view context) {
  if (code > 0) return system_error(code, context);
  const auto say = [&](Errc errc, std::string_view advice = {}) {
    return Error{errc, fmt::format("{}: {}{}", context, mdb_strerror(code), advice)};
  };
  switch (code) {
    case MDB_NOTFOUND:
      return say(Errc::not_found);
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_CURSOR_FULL:  // deeper than any tree can be: its pages form a ring
    case MDB_INVALID:
      return say(Errc::damaged, "; restore the file from a backup");
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
      return say(Errc::foreign, "; it was written by another program or another LMDB");
    case MDB_MAP_FULL:
      return say(Errc::no_space);
    case MDB_READERS_FULL:
      return say(Errc::busy, "; too many programs read it at the same time");
    case MDB_BAD_VALSIZE:
    case MDB_TXN_FULL:
      return say(Errc::limit);
    case MDB_PANIC:
      return say(Errc::io, "; an earlier write failed half-way, restart the daemon");
    default:
      return say(Errc::internal);
  }
}

}  // namespace rcptsync::store::lmdb

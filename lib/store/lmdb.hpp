// lmdb — the few types of LMDB's C API that the store uses, with owners, and its return codes as
// Errors.
//
// An environment must not be used after fork(2): the child shares the parent's reader slots and
// locks. A child either calls exec(2), which closes all descriptors, or _exit(2) without touching
// the store. LMDB also forbids opening one environment twice in a process; open.cpp sees to that.
#pragma once

#include <lmdb.h>

#include <string_view>

#include "base/handle.hpp"
#include "base/result.hpp"

namespace rcptsync::store::lmdb {

using Environment = Handle<MDB_env, mdb_env_close>;
/// Aborted unless it is released into mdb_txn_commit(). Its cursors must be closed before.
using Transaction = Handle<MDB_txn, mdb_txn_abort>;
using Cursor = Handle<MDB_cursor, mdb_cursor_close>;

inline std::string_view view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

/// The bytes are only read; LMDB's type cannot say so.
inline MDB_val value(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

/// `context: what LMDB says`, with a way out where there is one. `code` is what an mdb_ function
/// returned: negative its own, positive errno. Damage is Errc::damaged, a full map or disk
/// Errc::no_space.
Error error(int code, std::string_view context);

}  // namespace rcptsync::store::lmdb

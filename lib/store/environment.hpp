// environment — opens LMDB's environment of a state file, with its tables.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <utility>

#include "base/result.hpp"
#include "store/database.hpp"
#include "store/files.hpp"

namespace rcptsync::store {

/// An environment that is not open yet. `file` is what messages name.
Result<lmdb::Environment> new_environment(const std::filesystem::path& file);

/// Fills in the handles of all tables up to `last`. Missing ones are made if `flags` has
/// MDB_CREATE, else they are Errc::damaged. The handles outlive the transaction only if it is
/// committed.
Result<> open_tables(Database& database, MDB_txn* transaction, unsigned flags,
                     Table last = static_cast<Table>(table_names.size() - 1));

/// Opens the environment in `files.folder` under a map of `map_size` bytes, less where the limits
/// of the process (RLIMIT_AS) do not allow so much, and never less than the file. `flags` are
/// LMDB's. Creates data.mdb if it is not there: look before.
Result<lmdb::Environment> open_environment(const Files& files, unsigned flags,
                                           std::uint64_t map_size);

/// What tells one file from another that takes its name: device and inode.
using FileIdentity = std::pair<dev_t, ino_t>;
/// Of the open data.mdb; {0, 0} if the environment is not open.
FileIdentity identity_of(MDB_env* environment);
/// Of the file of that name; {0, 0} if there is none.
FileIdentity identity_of(const std::filesystem::path& file);

}  // namespace rcptsync::store

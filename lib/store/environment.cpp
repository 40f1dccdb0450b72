#include "store/environment.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace rcptsync::store {

Result<lmdb::Environment> new_environment(const std::filesystem::path& file) {
  MDB_env* made = nullptr;
  int code = mdb_env_create(&made);
  lmdb::Environment environment(made);
  if (code == 0) code = mdb_env_set_maxdbs(made, table_names.size());
  if (code != 0) return lmdb::error(code, fmt::format("cannot open {}", file.native()));
  return environment;
}

Result<> open_tables(Database& database, MDB_txn* transaction, unsigned flags, Table last) {
  for (std::size_t i = 0; i <= static_cast<std::size_t>(last); ++i) {
    const int code = mdb_dbi_open(transaction, table_names[i], flags, &database.handles[i]);
    if (code == MDB_NOTFOUND)
      return Error{Errc::damaged, fmt::format("{} has no table {}; restore it from a backup",
                                              database.file.native(), table_names[i])};
    if (code != 0) return database.error(code, static_cast<Table>(i));
  }
  return {};
}

Result<lmdb::Environment> open_environment(const Files& files, unsigned flags,
                                           std::uint64_t map_size) {
  constexpr std::uint64_t step = 1 << 20;
  struct stat status {};
  const bool is_there = ::stat(files.data.c_str(), &status) == 0;
  const auto file_size = is_there ? static_cast<std::uint64_t>(status.st_size) : 0;
  const auto least = (file_size / step + 1) * step;
  for (;;) {
    auto environment = new_environment(files.data);
    if (!environment) return environment.error();
    int code = mdb_env_set_mapsize(environment->get(), map_size);
    if (code == 0)
      code = mdb_env_open(environment->get(), files.folder.c_str(), flags | MDB_NOTLS, 0600);
    if (code == 0) return environment;
    if (code != ENOMEM || map_size <= least)
      return lmdb::error(code, fmt::format("cannot open {}", files.data.native()));
    map_size = std::max(map_size / 2, least);
  }
}

FileIdentity identity_of(MDB_env* environment) {
  int fd = -1;
  struct stat status {};
  if (mdb_env_get_fd(environment, &fd) != 0 || ::fstat(fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

FileIdentity identity_of(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace rcptsync::store

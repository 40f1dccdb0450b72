// database — an open LMDB environment with the handles of its tables, and how messages name it.
#pragma once

#include <array>
#include <filesystem>

#include "store/lmdb.hpp"
#include "store/schema.hpp"

namespace rcptsync::store {

struct Database {
  lmdb::Environment environment;
  std::array<MDB_dbi, table_names.size()> handles{};
  std::filesystem::path file;  ///< data.mdb

  [[nodiscard]] MDB_dbi handle(Table table) const {
    return handles[static_cast<std::size_t>(table)];
  }
  /// What went wrong with a table, in words that name the file.
  [[nodiscard]] Error error(int code, Table table) const;
  /// A record or key that is not what was written.
  [[nodiscard]] Error damaged(Table table, std::string_view key, std::string_view what) const;
};

}  // namespace rcptsync::store

#include "store/database.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"

namespace rcptsync::store {

Error Database::error(int code, Table table) const {
  return lmdb::error(code, fmt::format("{}: table {}", file.native(), name_of(table)));
}

Error Database::damaged(Table table, std::string_view key, std::string_view what) const {
  return {Errc::damaged, fmt::format("{}: table {}, key {}: {}; restore the file from a backup",
                                     file.native(), name_of(table), escape(key, 80), what)};
}

}  // namespace rcptsync::store

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

#include "store/lmdb_store.hpp"

namespace rcptsync::store {
namespace {

struct Registry {
  std::mutex mutex;
  std::set<std::pair<dev_t, ino_t>> open;
};

Registry& registry() {
  static Registry all;
  return all;
}

}  // namespace

Result<Claim> Claim::take(const std::filesystem::path& folder) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0)
    return system_error(errno, fmt::format("state folder {}", folder.native()));
  if (!S_ISDIR(status.st_mode))
    return Error{Errc::invalid, fmt::format("state folder {} is not a folder", folder.native())};
  const Identity identity{status.st_dev, status.st_ino};
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  if (!all.open.insert(identity).second)
    return Error{Errc::busy,
                 fmt::format("state folder {} is already open in this process", folder.native())};
  return Claim(identity);
}

Claim::~Claim() {
  if (folder_ == Identity{}) return;
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  all.open.erase(folder_);
}

}  // namespace rcptsync::store

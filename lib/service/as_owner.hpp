// as_owner — root's rights laid down while files are opened that another account owns.
//
// The account that owns the state can put a link in place of any file there, and LMDB follows links
// and writes to its lock file. What root opens with the rights of that account can only be what the
// account could have opened itself.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::service {

/// Effective user, group and groups of the whole process, until the end of its life. Descriptors
/// that were opened meanwhile stay open.
class AsOwner {
 public:
  /// The rights of the owner of `folder`. Nothing changes unless we are root and the owner is not,
  /// or if there is no such folder. Errc::permission and those of the system if the change is not
  /// possible; nothing has changed then.
  static Result<AsOwner> of(const std::filesystem::path& folder);
  AsOwner(AsOwner&& other) noexcept;
  AsOwner& operator=(AsOwner&&) = delete;
  ~AsOwner();

 private:
  AsOwner() = default;
  bool changed_ = false;
  gid_t group_ = 0;
  std::vector<gid_t> groups_;
};

}  // namespace rcptsync::service

#include "service/as_owner.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace rcptsync::service {

Result<AsOwner> AsOwner::of(const std::filesystem::path& folder) {
  AsOwner rights;
  struct stat status {};
  if (::geteuid() != 0 || ::stat(folder.c_str(), &status) != 0 || status.st_uid == 0) return rights;
  rights.group_ = ::getegid();
  const int count = ::getgroups(0, nullptr);
  rights.groups_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  if (count < 0 || ::getgroups(count, rights.groups_.data()) < 0)
    return system_error(errno, "cannot read our own groups");

  const auto* account = ::getpwuid(status.st_uid);
  const gid_t group = account == nullptr ? status.st_gid : account->pw_gid;
  rights.changed_ = true;  // from here on the end of `rights` undoes it
  const bool done =
      (account == nullptr ? ::setgroups(1, &group) : ::initgroups(account->pw_name, group)) == 0 &&
      ::setegid(group) == 0 && ::seteuid(status.st_uid) == 0;
  if (!done)
    return system_error(errno,
                        fmt::format("{} belongs to uid {}, and root cannot take the rights of that "
                                    "account here; run this as that account",
                                    folder.native(), status.st_uid));
  return rights;
}

AsOwner::AsOwner(AsOwner&& other) noexcept
    : changed_(std::exchange(other.changed_, false)),
      group_(other.group_),
      groups_(std::move(other.groups_)) {}

AsOwner::~AsOwner() {
  if (!changed_) return;
  // Going on with half of the rights would be neither the one nor the other. A step that was never
  // taken is undone without an effect; without the right to set groups none was taken.
  const bool back = ::seteuid(0) == 0 && ::setegid(group_) == 0;
  if (!back || (::setgroups(groups_.size(), groups_.data()) != 0 && errno != EPERM)) std::abort();
}

}  // namespace rcptsync::service

#include "base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/random.hpp"

namespace rcptsync {
namespace {

Result<std::string> read_all(int fd, const std::filesystem::path& path, std::size_t limit) {
  std::string bytes;
  char buffer[65536];
  for (;;) {
    const auto got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, fmt::format("cannot read {}", path.native()));
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (bytes.size() > limit)
      return Error{Errc::limit, fmt::format("{} is larger than the {} bytes that are accepted here",
                                            path.native(), limit)};
  }
}

// Opens a regular file for reading. O_NONBLOCK: a FIFO in its place must not hang us.
Result<Fd> open_regular(const std::filesystem::path& path, struct stat& status,
                        int folder = AT_FDCWD, int more = 0) {
  Fd fd{::openat(folder, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | more)};
  if (!fd && errno == ELOOP && (more & O_NOFOLLOW) != 0)
    return Error{Errc::invalid, fmt::format("{} is a symbolic link", path.native())};
  if (!fd) return system_error(errno, fmt::format("cannot open {}", path.native()));
  if (::fstat(fd.get(), &status) != 0)
    return system_error(errno, fmt::format("cannot look at {}", path.native()));
  if (!S_ISREG(status.st_mode))
    return Error{Errc::invalid, fmt::format("{} is not a regular file", path.native())};
  return fd;
}

// A file that root makes in the folder of another account is that account's.
Result<> hand_over(int fd, const std::filesystem::path& path) {
  if (::geteuid() != 0) return {};
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  struct stat owner {};
  if (::stat(folder.c_str(), &owner) != 0)
    return system_error(errno, fmt::format("cannot look at {}", folder.native()));
  if (owner.st_uid != 0 && ::fchown(fd, owner.st_uid, owner.st_gid) != 0)
    return system_error(errno, fmt::format("cannot hand over {}", path.native()));
  return {};
}

Result<> write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const auto put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(errno, fmt::format("cannot write {}", path.native()));
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
  struct stat status {};
  auto fd = open_regular(path, status);
  if (!fd) return fd.error();
  return read_all(fd->get(), path, limit);
}

Result<std::string> read_file_at(int folder, const std::string& name, std::size_t limit) {
  struct stat status {};
  auto fd = open_regular(name, status, folder, O_NOFOLLOW);
  if (!fd) return fd.error();
  return read_all(fd->get(), name, limit);
}

Result<> replace_file(const std::filesystem::path& path, std::string_view bytes, mode_t mode) {
  const auto temporary = path.native() + ".tmp." + random_hex(system_random(), 6);
  Fd fd{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
  if (!fd) return system_error(errno, fmt::format("cannot create {}", temporary));
  auto written = write_all(fd.get(), bytes, temporary);
  if (written) written = hand_over(fd.get(), temporary);
  // Whatever the umask is.
  if (written && ::fchmod(fd.get(), mode) != 0)
    written = system_error(errno, fmt::format("cannot set the mode of {}", temporary));
  if (written && ::fsync(fd.get()) != 0)
    written = system_error(errno, fmt::format("cannot sync {}", temporary));
  fd.reset();
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = system_error(errno, fmt::format("cannot rename {} to {}", temporary, path.native()));
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_folder(path.parent_path());
}

Result<std::string> read_secret(const std::filesystem::path& path, mode_t forbidden) {
  struct stat status {};
  auto fd = open_regular(path, status);
  if (!fd) return fd.error();
  if ((status.st_mode & forbidden) != 0)
    return Error{Errc::permission,
                 fmt::format("{} can be read or written by others (mode {:04o}); run: chmod 600 {}",
                             path.native(), status.st_mode & 07777, path.native())};
  return read_all(fd->get(), path, 64 * 1024);
}

Result<Fd> lock_file(const std::filesystem::path& path) {
  Fd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd) return system_error(errno, fmt::format("cannot open {}", path.native()));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Error{Errc::busy, fmt::format("{} is locked by another process", path.native())};
    return system_error(errno, fmt::format("cannot lock {}", path.native()));
  }
  return fd;
}

Result<> sync_folder(const std::filesystem::path& folder) {
  const auto name = folder.empty() ? std::string(".") : folder.native();
  Fd fd{::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd) return system_error(errno, fmt::format("cannot open {}", name));
  if (::fsync(fd.get()) != 0) return system_error(errno, fmt::format("cannot sync {}", name));
  return {};
}

}  // namespace rcptsync

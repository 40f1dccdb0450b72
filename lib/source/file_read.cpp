#include "source/file_read.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/escape.hpp"
#include "base/handle.hpp"

namespace rcptsync::source {
namespace {

constexpr std::size_t step = 1 << 20;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileStamp stamp_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

Error failed(int number, std::string_view what, const std::string& path) {
  auto error = system_error(number, fmt::format("cannot {} it", what));
  if (number == EACCES)
    error.message += fmt::format(
        "; the account that rcptsyncd runs as must be able to: try "
        "namei -l {}",
        escape(path));
  return error;
}

Result<> acceptable(const struct stat& status) {
  if (!S_ISREG(status.st_mode))
    return Error{Errc::invalid, S_ISDIR(status.st_mode)
                                    ? "it is a folder; name the file in it"
                                    : "it is not a regular file, and nothing else is read"};
  if ((status.st_mode & S_IWOTH) != 0)
    return Error{Errc::permission,
                 fmt::format("everybody on this machine can write to it (mode {:04o}), and so "
                             "decide who gets mail; run chmod o-w",
                             status.st_mode & 07777)};
  return {};
}

Result<FileStamp> look(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return failed(errno, "look at", path);
  if (auto good = acceptable(status); !good) return good.error();
  return stamp_of(status);
}

// Sleeps; false if stop was requested meanwhile.
bool pause(std::chrono::nanoseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

Error stopped() {
  return {Errc::cancelled, "the read was stopped"};
}

/// One reading from the first byte to the last, into `bytes`, or for its digest alone. Nothing if
/// the file changed meanwhile.
Result<std::optional<FileVersion>> read_once(const std::string& path, const FileLimits& limits,
                                             const std::stop_token& stop, std::string* bytes) {
  const auto before = look(path);  // so that opening never touches a device or hangs on a FIFO
  if (!before) return before.error();
  // Opening also is what makes NFS ask its server for the size and the times (close-to-open).
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (!file) return failed(errno, "open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return failed(errno, "look at", path);
  if (auto good = acceptable(status); !good) return good.error();
  FileVersion version{stamp_of(status), {}};
  const auto size = version.stamp.size;
  if (size > limits.size)
    return Error{Errc::limit,
                 fmt::format("it has {} bytes; at most {} are read", size, limits.size)};
  Sha256 hash;
  std::string step_alone;
  auto& into = bytes != nullptr ? *bytes : step_alone;
  into.clear();
  if (bytes != nullptr) bytes->reserve(size + 1);
  std::uint64_t had = 0;
  for (;;) {
    if (stop.stop_requested()) return stopped();
    if (bytes == nullptr) into.clear();
    const auto kept = into.size();
    // One byte more than the size said, so that growth is seen.
    into.resize(kept + std::min<std::uint64_t>(size - had + 1, step));
    const auto got = ::read(file.get(), into.data() + kept, into.size() - kept);
    const int number = errno;
    into.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && number == EINTR) continue;
    if (got < 0) return failed(number, "read", path);
    if (got == 0) break;
    had += static_cast<std::uint64_t>(got);
    if (had > size) return std::nullopt;
    hash.update(std::string_view(into).substr(kept));
  }
  version.digest = hash.finish();
  if (::fstat(file.get(), &status) != 0) return failed(errno, "look at", path);
  const auto after = look(path);
  if (!after) return after.error();
  if (had != size || version.stamp != stamp_of(status) || version.stamp != *after)
    return std::nullopt;
  return version;
}

}  // namespace

Result<FileStamp> look_at(const std::string& path) {
  auto stamp = look(path);
  if (!stamp) return stamp.error().within(escape(path));
  return stamp;
}

Result<FileContent> read_settled(const std::string& path, const FileLimits& limits,
                                 const std::stop_token& stop, const IsKnown& known) {
  FileContent content;
  for (unsigned attempt = 0; attempt < limits.attempts; ++attempt) {
    const auto first = read_once(path, limits, stop, &content.bytes);
    if (!first) return first.error().within(escape(path));
    if (*first && known && known(**first)) return FileContent{**first, std::move(content.bytes)};
    if (!pause(limits.quiet, stop)) return stopped().within(escape(path));
    if (!*first) continue;
    const auto second = read_once(path, limits, stop, nullptr);
    if (!second) return second.error().within(escape(path));
    if (*second == *first) return FileContent{**first, std::move(content.bytes)};
  }
  return Error{
      Errc::busy,
      fmt::format("{}: it was written to again and again for {} s; whoever writes it "
                  "should write under another name in the same folder and rename it",
                  escape(path),
                  std::chrono::ceil<std::chrono::seconds>(limits.quiet * limits.attempts).count())};
}

}  // namespace rcptsync::source

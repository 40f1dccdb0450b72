#include "source/file_read.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "base/time.hpp"

namespace rcptsync::source {
namespace {

using namespace std::chrono_literals;

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

/// One reading from the first byte to the last. Nothing if the file changed meanwhile.
Result<bool> read_once(const std::string& path, const FileLimits& limits,
                       const std::stop_token& stop, FileContent& content) {
  const auto before = look(path);  // so that opening never touches a device or hangs on a FIFO
  if (!before) return before.error();
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (!file) return failed(errno, "open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return failed(errno, "look at", path);
  if (auto good = acceptable(status); !good) return good.error();
  content.stamp = stamp_of(status);
  if (content.stamp.size > limits.size)
    return Error{Errc::limit, fmt::format("it has {} bytes; at most {} are read",
                                          content.stamp.size, limits.size)};
  Sha256 hash;
  auto& bytes = content.bytes;
  bytes.clear();
  for (;;) {
    if (stop.stop_requested()) return stopped();
    const auto had = bytes.size();
    // One byte more than the size said, so that growth is seen.
    const auto left = content.stamp.size - std::min<std::uint64_t>(had, content.stamp.size);
    bytes.resize(had + std::min<std::uint64_t>(left + 1, step));
    const auto got = ::read(file.get(), bytes.data() + had, bytes.size() - had);
    const int number = errno;
    bytes.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && number == EINTR) continue;
    if (got < 0) return failed(number, "read", path);
    if (got == 0) break;
    if (bytes.size() > content.stamp.size) return false;
    hash.update(std::string_view(bytes).substr(had));
  }
  content.digest = hash.finish();
  if (::fstat(file.get(), &status) != 0) return failed(errno, "look at", path);
  const auto after = look(path);
  if (!after) return after.error();
  return content.stamp == stamp_of(status) && content.stamp == *after &&
         bytes.size() == content.stamp.size;
}

// How long a file has to be watched on until it has been left alone long enough. One with a time in
// the future, from a clock that is ahead, is watched as long as one of this moment.
std::chrono::nanoseconds unsettled(const FileStamp& stamp, std::chrono::nanoseconds quiet) {
  const auto age =
      system_clock().wall().time_since_epoch() - std::chrono::nanoseconds(stamp.modified);
  return std::clamp<std::chrono::nanoseconds>(quiet - age, 0ns, quiet);
}

}  // namespace

Result<FileStamp> look_at(const std::string& path) {
  auto stamp = look(path);
  if (!stamp) return stamp.error().within(escape(path));
  return stamp;
}

Result<FileContent> read_settled(const std::string& path, const FileLimits& limits,
                                 const std::stop_token& stop) {
  FileContent content;
  for (unsigned attempt = 0; attempt < limits.attempts; ++attempt) {
    const auto whole = read_once(path, limits, stop, content);
    if (!whole) return whole.error().within(escape(path));
    auto wait = unsettled(content.stamp, limits.quiet);
    if (*whole && wait == 0ns) return content;
    if (!*whole) wait = limits.quiet;
    if (!pause(wait, stop)) return stopped().within(escape(path));
    if (!*whole) continue;
    const auto now = look(path);
    if (!now) return now.error().within(escape(path));
    if (*now == content.stamp) return content;
  }
  return Error{
      Errc::busy,
      fmt::format("{}: it was written to again and again for {} s; whoever writes it "
                  "should write under another name in the same folder and rename it",
                  escape(path),
                  std::chrono::ceil<std::chrono::seconds>(limits.quiet * limits.attempts).count())};
}

}  // namespace rcptsync::source

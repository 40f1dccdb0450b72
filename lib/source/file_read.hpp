// file_read — reads a file that another program may be writing: the whole of one version of it, or
// an error.
//
// A version counts only if a second reading, a moment after the first, finds the same file, times
// and bytes. So a copy that is under way is waited for, as long as that is reasonable, and never
// taken for the whole. Times are compared with each other alone, never with the clock of this
// machine: on a network file system they are by the clock of another.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "base/digest.hpp"
#include "base/result.hpp"

namespace rcptsync::source {

/// What a file is known by without reading it. Equal: not written in between.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  ///< nanoseconds
  std::int64_t changed = 0;   ///< ctime, nanoseconds
  bool operator==(const FileStamp&) const = default;
};

struct FileVersion {
  FileStamp stamp;
  Digest digest;
  bool operator==(const FileVersion&) const = default;
};

struct FileContent {
  FileVersion version;
  std::string bytes;
};

/// True for a version that is believed already, so that it need not be looked at twice.
using IsKnown = std::function<bool(const FileVersion&)>;

struct FileLimits {
  std::size_t size = std::size_t{1} << 30;
  std::chrono::milliseconds quiet{1000};  ///< between the two readings
  unsigned attempts = 15;
};

/// Symbolic links are followed. Errc::invalid for everything but a regular file, which is not
/// opened then; Errc::permission if everybody can write to it; Errc::not_found, ….
Result<FileStamp> look_at(const std::string& path);

/// Errc::limit for a larger file, Errc::busy for one that is never left alone, Errc::cancelled soon
/// after `stop`. Waits at least FileLimits::quiet, but not at all for what is `known`.
Result<FileContent> read_settled(const std::string& path, const FileLimits& limits,
                                 const std::stop_token& stop, const IsKnown& known = {});

}  // namespace rcptsync::source

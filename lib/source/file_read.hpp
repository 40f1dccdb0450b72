// file_read — reads a file that another program may be writing: the whole of one version of it, or
// an error.
//
// A version counts only if nothing about the file changed from before the first byte until it had
// been left alone for a moment. So a copy that is under way is waited for, as long as that is
// reasonable, and never taken for the whole.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
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

struct FileContent {
  FileStamp stamp;
  Digest digest;
  std::string bytes;
};

struct FileLimits {
  std::size_t size = std::size_t{1} << 30;
  std::chrono::milliseconds quiet{1000};  ///< how long it must have been left alone
  unsigned attempts = 15;
};

/// Symbolic links are followed. Errc::invalid for everything but a regular file, which is not
/// opened then; Errc::permission if everybody can write to it; Errc::not_found, ….
Result<FileStamp> look_at(const std::string& path);

/// Errc::limit for a larger file, Errc::busy for one that is never left alone, Errc::cancelled soon
/// after `stop`.
Result<FileContent> read_settled(const std::string& path, const FileLimits& limits,
                                 const std::stop_token& stop);

}  // namespace rcptsync::source

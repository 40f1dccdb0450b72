// file — reads whole small files within limits, and replaces files so that a crash leaves the old
// or the new.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/handle.hpp"
#include "base/result.hpp"

namespace rcptsync {

/// The bytes of a regular file. `limit` in bytes; a longer file is Errc::limit, never a part of it.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit);

/// The same for `name` in an open folder. No symbolic link is followed: Errc::invalid.
Result<std::string> read_file_at(int folder, const std::string& name, std::size_t limit);

/// Writes to a temporary name beside `path`, fsyncs, renames over `path`, fsyncs the folder. The
/// file gets exactly `mode`; where root writes in the folder of another account it is that
/// account's.
Result<> replace_file(const std::filesystem::path& path, std::string_view bytes, mode_t mode);

/// A secret: a regular file of at most 64 KiB, symbolic links followed. If its mode has one of the
/// `forbidden` bits the answer is Errc::permission with the chmod to run. (systemd hands out
/// credentials with an access list, whose mask shows as the group bits: pass 007 for those.)
Result<std::string> read_secret(const std::filesystem::path& path, mode_t forbidden = 077);

/// An exclusive flock(2) on `path`, created 0600 if it is not there. Errc::busy if another process
/// has it. The lock ends with the descriptor or the process.
Result<Fd> lock_file(const std::filesystem::path& path);

/// The folder's entries reach the disk (fsync of the directory).
Result<> sync_folder(const std::filesystem::path& folder);

}  // namespace rcptsync

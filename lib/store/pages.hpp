// pages — checks the pages of an LMDB file before LMDB believes them.
//
// LMDB trusts its file: a page number beyond the end is a SIGBUS, a wrong offset inside a page a
// wild read, a wrong flag an assertion. A file that was cut off, restored in part or hit by a bad
// disk must be refused with a message instead, so everything LMDB follows blindly is looked at
// first, with pread(2), which also turns an unreadable sector into an Error.
//
// The layout is that of LMDB's data version 1 (all of 0.9) with 64-bit page numbers in the byte
// order of this machine, as mdb.c lays it out. What is checked: both meta pages; of every tree the
// place, kind, bounds and order of all nodes on all pages, its depth and its counts; that every
// page is used once, and none both used and on the free list; and the seal (codec.hpp) of every
// record, so that a key which became another one in the same place is noticed, too.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.hpp"

namespace rcptsync::store {

/// The meta pages, as far as mdb_env_open() needs them to be right: for use before it.
/// Errc::damaged for an empty or cut off file, Errc::foreign if it is no LMDB file of this kind.
Result<> check_meta_pages(int fd, const std::filesystem::path& file);

enum class PageCheck {
  /// The list of tables and the table `meta`: a few pages.
  catalogue,
  /// Everything: reads all of the file that is in use. Only for a file of our schema.
  full,
};

/// The snapshot that transaction `txnid` sees. It must be open in this process as a reader, or
/// nobody may write: then its pages stay as they are. A file cut short within the snapshot is
/// found, at the latest by `full`. Errc::damaged; Errc::foreign if the file has no table `meta` of
/// our kind.
Result<> check_pages(int fd, const std::filesystem::path& file, std::uint64_t txnid,
                     PageCheck extent);

}  // namespace rcptsync::store

// files — what stands in the state folder. docs/STATE.md tells people.
#pragma once

#include <cstddef>
#include <filesystem>

namespace rcptsync::store {

struct Files {
  explicit Files(const std::filesystem::path& in)
      : folder(in),
        data(in / "data.mdb"),
        fresh(in / "data.mdb.new"),
        locks(in / "lock.mdb"),
        marker(in / "state-id"),
        owner(in / "daemon.lock") {}

  std::filesystem::path folder;
  std::filesystem::path data;    ///< the state
  std::filesystem::path fresh;   ///< a state that is being made, before it takes the name above
  std::filesystem::path locks;   ///< LMDB's table of readers; worthless without a running process
  std::filesystem::path marker;  ///< says that this folder has had a state, and which
  std::filesystem::path owner;   ///< flock(2)ed by the one writer
};

/// Bytes that the marker may have.
inline constexpr std::size_t max_marker = 256;

}  // namespace rcptsync::store

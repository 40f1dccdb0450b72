// lmdb_store — the Store on an LMDB environment: transactions, the growth of the map, and what a
// large transaction took of memory.
//
// LMDB keeps every page that a transaction changed, up to 512 MB, on a list of its own for the next
// one, and frees that list when the environment is closed and at no other time. So after a large
// transaction the environment is closed, and whoever needs it next opens it again.
#pragma once

#include <mutex>
#include <shared_mutex>

#include "base/handle.hpp"
#include "store/environment.hpp"
#include "store/store.hpp"

namespace rcptsync::store {

/// A folder that this process has open. LMDB's locks belong to the process, so a second environment
/// on the same file would drop the locks of the first as soon as one of them closes.
class Claim {
 public:
  /// Errc::busy if it is taken; the errors of stat(2).
  static Result<Claim> take(const std::filesystem::path& folder);
  Claim(Claim&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}
  Claim& operator=(Claim&&) = delete;
  ~Claim();

 private:
  using Identity = std::pair<dev_t, ino_t>;
  explicit Claim(Identity folder) : folder_(folder) {}
  Identity folder_;  ///< {0, 0}: nothing
};

class LmdbStore final : public Store {
 public:
  /// What must outlive the environment, in the order in which it was taken.
  struct Locks {
    Claim claim;
    Fd lock;  ///< the owner's daemon.lock, or the folder for a reader without lock.mdb
  };

  /// `flags`: those that the environment was opened with; MDB_RDONLY for whoever is not the owner.
  LmdbStore(Locks locks, Database database, unsigned flags, std::uint64_t max_map)
      : locks_(std::move(locks)),
        database_(std::move(database)),
        flags_(flags),
        max_map_(max_map) {}

  Result<bool> write(const std::function<Result<bool>(Transaction&)>& body) override;
  Result<> read(const std::function<Result<>(View&)>& body) override;
  Result<> copy_to(const std::filesystem::path& folder) override;

 private:
  using Use = std::shared_lock<std::shared_mutex>;
  /// What one run of a body left behind.
  struct Aftermath {
    bool map_is_full = false;  ///< nothing was written, and it is to be run again in a larger map
    bool was_large = false;    ///< LMDB keeps more memory than the next transaction needs
  };

  /// One run of `body`.
  Result<bool> write_once(const std::function<Result<bool>(Transaction&)>& body,
                          Aftermath& aftermath);
  Result<> grow_map();
  /// Replaces the map; needs map_ alone. Closes the environment if that fails: LMDB has no map
  /// then, and would follow it all the same.
  int set_map(std::uint64_t size);
  /// Runs `attempt`, which begins a transaction of its own for reading and returns LMDB's code for
  /// that, under a map that is as large as the file, and with a place in the table of readers if
  /// there is one. The result is the last such code, or why there is no environment.
  Result<int> with_room_to_read(const std::function<int()>& attempt);

  /// The environment, open, until the lock is given back.
  Result<Use> use();
  /// These two need map_ alone. The first is for before the environment is closed.
  void note_for_opening();
  Result<> open_again();

  Locks locks_;
  Database database_;
  unsigned flags_;
  std::uint64_t max_map_;
  std::uint64_t map_size_ = 0;  ///< while it is closed: what it is to have again
  FileIdentity identity_;       ///< while it is closed: the file that it was
  std::mutex writing_;
  /// Shared by every transaction; taken alone to replace the map or to close and open the
  /// environment, under which none may be open.
  std::shared_mutex map_;
};

}  // namespace rcptsync::store

// lmdb_store — the Store on an open LMDB environment: transactions, and the growth of the map.
#pragma once

#include <mutex>
#include <shared_mutex>

#include "base/handle.hpp"
#include "store/database.hpp"
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

  LmdbStore(Locks locks, Database database, bool is_owner, std::uint64_t max_map)
      : locks_(std::move(locks)),
        database_(std::move(database)),
        is_owner_(is_owner),
        max_map_(max_map) {}

  Result<bool> write(const std::function<Result<bool>(Transaction&)>& body) override;
  Result<> read(const std::function<Result<>(View&)>& body) override;
  Result<> copy_to(const std::filesystem::path& folder) override;

 private:
  /// One run of `body`. `map_is_full`: nothing was written, and it is to be run again in a larger
  /// map.
  Result<bool> write_once(const std::function<Result<bool>(Transaction&)>& body, bool& map_is_full);
  Result<> grow_map();
  /// Runs `attempt`, which begins a transaction of its own for reading and returns LMDB's code for
  /// that, under a map that is as large as the file, and with a place in the table of readers if
  /// there is one.
  int with_room_to_read(const std::function<int()>& attempt);

  Locks locks_;
  Database database_;
  bool is_owner_;
  std::uint64_t max_map_;
  std::mutex writing_;
  /// Shared by every transaction; taken alone to replace the map, under which none may be open.
  std::shared_mutex map_;
};

}  // namespace rcptsync::store

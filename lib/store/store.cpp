#include "store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.hpp"
#include "store/files.hpp"
#include "store/lmdb_store.hpp"
#include "store/transaction.hpp"

namespace rcptsync::store {
namespace {

// A transaction that changed more records than this may have taken some 20 MB for their pages.
constexpr std::size_t large_transaction = 4096;

bool disk_is_full(const std::filesystem::path& file) {
  struct statvfs disk {};
  return ::statvfs(file.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < 64UL << 10;
}

}  // namespace

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::schedule:
      return "schedule";
    case Cause::resync:
      return "SIGHUP";
    case Cause::approval:
      return "approval";
    case Cause::rollback:
      return "rollback";
    case Cause::configuration:
      return "configuration";
    case Cause::start:
      return "start";
    case Cause::poll:
      return "poll";
    case Cause::notification:
      return "notification";
  }
  return "schedule";
}

Result<> Transaction::put_generation(const Generation& generation,
                                     const std::vector<Change>& changes) {
  const ChangeStream stream = [&](const std::function<void(const ChangeView&)>& take) {
    for (const auto& change : changes) take(view_of(change));
  };
  return put_generation_from(generation, stream);
}

Result<bool> LmdbStore::write(const std::function<Result<bool>(Transaction&)>& body) {
  if ((flags_ & MDB_RDONLY) != 0)
    return Error{Errc::permission, fmt::format("{} is open for reading", database_.file.native())};
  const std::lock_guard one_at_a_time(writing_);
  for (;;) {
    Aftermath aftermath;
    auto outcome = write_once(body, aftermath);
    if (aftermath.map_is_full) {
      if (auto grown = grow_map(); !grown) return grown.error();
      continue;
    }
    if (aftermath.was_large) {
      const std::unique_lock alone(map_);
      if (database_.environment) note_for_opening();
      database_.environment.reset();
    }
    return outcome;
  }
}

Result<bool> LmdbStore::write_once(const std::function<Result<bool>(Transaction&)>& body,
                                   Aftermath& aftermath) {
  const auto used = use();
  if (!used) return used.error();
  const auto failed = [this](int code, std::string_view what) {
    return lmdb::error(code, fmt::format("{}: {}", database_.file.native(), what));
  };
  MDB_txn* begun = nullptr;
  if (const int code = mdb_txn_begin(database_.environment.get(), nullptr, 0, &begun); code != 0)
    return failed(code, "cannot begin to write");
  lmdb::Transaction transaction(begun);
  {
    LmdbTransaction records(database_, begun);
    auto outcome = body(records);
    aftermath = {records.map_is_full(), records.changes() > large_transaction};
    if (aftermath.map_is_full || !outcome || !*outcome) return outcome;
    if (records.failure()) return *records.failure();
  }
  int code = mdb_txn_commit(transaction.release());
  aftermath.map_is_full = code == MDB_MAP_FULL;
  // LMDB takes a write that the disk cut short for an I/O error.
  if (code == EIO && disk_is_full(database_.file)) code = ENOSPC;
  if (code != 0) return failed(code, "cannot commit, the state stays as it was");
  return true;
}

Result<> LmdbStore::grow_map() {
  const std::unique_lock map(map_);
  MDB_envinfo info{};
  mdb_env_info(database_.environment.get(), &info);
  if (info.me_mapsize >= max_map_)
    return Error{Errc::no_space, fmt::format("{} may not grow beyond {} bytes; keep less history",
                                             database_.file.native(), max_map_)};
  const auto size = std::min<std::uint64_t>(std::uint64_t{info.me_mapsize} * 2, max_map_);
  if (const int code = set_map(size); code != 0)
    return lmdb::error(code,
                       fmt::format("{}: cannot map {} bytes of it", database_.file.native(), size));
  return {};
}

int LmdbStore::set_map(std::uint64_t size) {
  note_for_opening();
  const int code = mdb_env_set_mapsize(database_.environment.get(), size);
  // Nothing but closing is safe then.
  if (code != 0) database_.environment.reset();
  return code;
}

Result<LmdbStore::Use> LmdbStore::use() {
  for (;;) {
    Use used(map_);
    if (database_.environment) return used;
    used.unlock();
    const std::unique_lock alone(map_);
    if (database_.environment) continue;
    if (auto opened = open_again(); !opened) return opened.error();
  }
}

void LmdbStore::note_for_opening() {
  MDB_envinfo info{};
  mdb_env_info(database_.environment.get(), &info);
  map_size_ = info.me_mapsize;
  identity_ = identity_of(database_.environment.get());
}

// Whose it is and that it is whole was proved when it was opened first. Other names are not: the
// file may have been moved away, and LMDB would make a new one.
Result<> LmdbStore::open_again() {
  const Files files(database_.file.parent_path());
  if (identity_of(files.data) != identity_)
    return Error{Errc::damaged,
                 fmt::format("{} is not the file any more that this program opened: it was moved "
                             "or replaced; put it back, or end the program first",
                             files.data.native())};
  auto environment = open_environment(files, flags_, map_size_);
  if (!environment) return environment.error();
  MDB_txn* begun = nullptr;
  int code = mdb_txn_begin(environment->get(), nullptr, MDB_RDONLY, &begun);
  const auto failed = [&] {
    return lmdb::error(code, fmt::format("cannot open {} again", files.data.native()));
  };
  if (code != 0) return failed();
  lmdb::Transaction transaction(begun);
  if (auto opened = open_tables(database_, begun, 0); !opened) return opened;
  code = mdb_txn_commit(transaction.release());
  if (code != 0) return failed();
  database_.environment = std::move(*environment);
  return {};
}

Result<int> LmdbStore::with_room_to_read(const std::function<int()>& attempt) {
  bool cleaned = false;
  for (;;) {
    int code = 0;
    {
      const auto used = use();
      if (!used) return used.error();
      code = attempt();
    }
    if (code == MDB_MAP_RESIZED) {
      // The owner, another process, has a larger map than we.
      const std::unique_lock map(map_);
      if (database_.environment) code = set_map(0);
      if (code != 0) return code;
    } else if (code == MDB_READERS_FULL && !cleaned) {
      cleaned = true;
      const auto used = use();
      if (!used) return used.error();
      int dead = 0;
      mdb_reader_check(database_.environment.get(), &dead);
      if (dead == 0) return code;
    } else {
      return code;
    }
  }
}

Result<> LmdbStore::read(const std::function<Result<>(View&)>& body) {
  Result<> outcome;
  const auto code = with_room_to_read([&] {
    MDB_txn* begun = nullptr;
    if (const int failed = mdb_txn_begin(database_.environment.get(), nullptr, MDB_RDONLY, &begun);
        failed != 0)
      return failed;
    const lmdb::Transaction transaction(begun);
    LmdbTransaction records(database_, begun);
    outcome = body(records);
    return 0;
  });
  if (!code) return code.error();
  if (*code != 0)
    return lmdb::error(*code, fmt::format("{}: cannot begin to read", database_.file.native()));
  return outcome;
}

Result<> LmdbStore::copy_to(const std::filesystem::path& folder) {
  const Files files(folder);
  const Files own(database_.file.parent_path());
  const auto marker = read_file(own.marker, max_marker);
  if (!marker) return marker.error();
  for (const auto& there : {files.data, files.marker})
    if (std::error_code ignored; std::filesystem::exists(there, ignored))
      return Error{Errc::invalid,
                   fmt::format("{} is in the way of a copy of the state", there.native())};

  // Not mdb_env_copy2(): that makes a file which others may read.
  const Fd fd{::open(files.fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!fd) return system_error(errno, fmt::format("cannot create {}", files.fresh.native()));
  const auto copy = [&](unsigned flags) {
    return with_room_to_read(
        [&] { return mdb_env_copyfd2(database_.environment.get(), fd.get(), flags); });
  };
  auto copied = copy(MDB_CP_COMPACT);
  // LMDB refuses to compact a file with a page that is neither used nor free.
  if (copied && *copied == MDB_INCOMPATIBLE && ::ftruncate(fd.get(), 0) == 0 &&
      ::lseek(fd.get(), 0, SEEK_SET) == 0)
    copied = copy(0);
  if (!copied) {
    ::unlink(files.fresh.c_str());
    return copied.error();
  }
  int code = *copied;
  if (code == 0 && ::fsync(fd.get()) != 0) code = errno;
  if (code == 0 && ::rename(files.fresh.c_str(), files.data.c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(files.fresh.c_str());
    return lmdb::error(
        code, fmt::format("cannot copy {} to {}", database_.file.native(), files.data.native()));
  }
  return replace_file(files.marker, *marker, 0600);
}

}  // namespace rcptsync::store

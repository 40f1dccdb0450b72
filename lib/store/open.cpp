// Opens the state: decides whether there is one, whether it is ours and whole, and who may write.
//
// A state begins only where neither data.mdb nor state-id is. It is made under another name and
// renamed, so data.mdb is never half a state, and a data.mdb that is empty or gone is always a
// loss.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <thread>

#include "base/escape.hpp"
#include "base/file.hpp"
#include "store/codec.hpp"
#include "store/environment.hpp"
#include "store/files.hpp"
#include "store/lmdb_store.hpp"
#include "store/pages.hpp"
#include "store/upgrade.hpp"

namespace rcptsync::store {
namespace {

constexpr std::string_view marker_prefix = "rcptsync state ";

/// False if there is nothing of that name; an error if it is no regular file.
Result<bool> is_there(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    return system_error(errno, fmt::format("cannot look at {}", file.native()));
  }
  if (!S_ISREG(status.st_mode))
    return Error{Errc::foreign,
                 fmt::format("{} is not a regular file; move it away", file.native())};
  return true;
}

/// The id that the marker names, or nothing if there is no marker.
Result<std::optional<std::string>> read_marker(const Files& files) {
  const auto text = read_file(files.marker, max_marker);
  if (!text && text.error().code == Errc::not_found) return std::nullopt;
  if (!text) return text.error();
  const std::string_view line = *text;
  if (!line.starts_with(marker_prefix) || !line.ends_with('\n'))
    return Error{Errc::damaged,
                 fmt::format("{} does not read \"{}…\"; if {} is the right one, remove {}, and it "
                             "is made again",
                             files.marker.native(), marker_prefix, files.data.native(),
                             files.marker.native())};
  return std::string(line.substr(marker_prefix.size(), line.size() - marker_prefix.size() - 1));
}

Result<> write_marker(const Files& files, std::string_view id) {
  return replace_file(files.marker, fmt::format("{}{}\n", marker_prefix, id), 0600);
}

Error state_is_missing(const Files& files) {
  return {Errc::damaged,
          fmt::format("{} is missing, but this folder had a state ({} says so); restore {} from a "
                      "backup, or remove {} to start anew",
                      files.data.native(), files.marker.native(), files.data.native(),
                      files.marker.native())};
}

/// The schema of the file, 1 or the present one. Errc::foreign unless it is a state of ours. Needs
/// nothing but the table `meta`, and leaves its handle in `database`.
Result<std::uint64_t> schema_of(Database& database, MDB_txn* transaction) {
  const auto& file = database.file.native();
  const auto foreign = [&] {
    return Error{Errc::foreign,
                 fmt::format("{} is an LMDB file of another program; move it away, or set another "
                             "state_dir",
                             file)};
  };
  auto& handle = database.handles[static_cast<std::size_t>(Table::meta)];
  int code = mdb_dbi_open(transaction, name_of(Table::meta), 0, &handle);
  if (code == MDB_NOTFOUND || code == MDB_INCOMPATIBLE) return foreign();
  if (code != 0) return database.error(code, Table::meta);
  auto key = lmdb::value(format_key);
  MDB_val value;
  code = mdb_get(transaction, handle, &key, &value);
  if (code == MDB_NOTFOUND) return foreign();
  if (code != 0) return database.error(code, Table::meta);

  const auto record = lmdb::view(value);
  if (!record.starts_with(format_magic) || record.size() != format_magic.size() + 4)
    return foreign();
  const auto schema = big_endian_number(record.substr(format_magic.size()));
  if (schema > schema_number)
    return Error{Errc::foreign,
                 fmt::format("{} has schema {}, and this program knows no schema above {}: it was "
                             "written by a newer rcptsync; install that again, or restore a backup "
                             "from before the upgrade",
                             file, schema, schema_number)};
  if (schema == 0)
    return Error{Errc::damaged, fmt::format("{} has schema {}, which never was; restore it from a "
                                            "backup",
                                            file, schema)};
  return schema;
}

/// Makes an empty state under another name and puts it into its place.
Result<> create_state(const Files& files) {
  std::error_code ignored;
  std::filesystem::remove(files.fresh, ignored);  // of a start that was cut off

  const auto make = [&]() -> Result<std::string> {
    Database database;
    database.file = files.fresh;
    auto environment = new_environment(files.fresh);
    if (!environment) return environment.error();
    database.environment = std::move(*environment);
    const auto failed = [&](int code) {
      return lmdb::error(code, fmt::format("cannot create {}", files.fresh.native()));
    };
    int code = mdb_env_open(database.environment.get(), files.fresh.c_str(),
                            MDB_NOSUBDIR | MDB_NOLOCK, 0600);
    if (code != 0) return failed(code);
    MDB_txn* begun = nullptr;
    code = mdb_txn_begin(database.environment.get(), nullptr, 0, &begun);
    if (code != 0) return failed(code);
    lmdb::Transaction transaction(begun);
    if (auto opened = open_tables(database, begun, MDB_CREATE); !opened) return opened.error();

    Meta meta;
    meta.schema = schema_number;
    meta.state_id = random_hex(system_random(), 16);
    meta.hash_seed = system_random().next();
    std::string record;
    codec::encode(meta, record);
    codec::seal(meta_key, record);
    const auto format = format_record();
    auto key = lmdb::value(format_key);
    auto value = lmdb::value(format);
    code = mdb_put(begun, database.handle(Table::meta), &key, &value, 0);
    if (code != 0) return failed(code);
    key = lmdb::value(meta_key);
    value = lmdb::value(record);
    code = mdb_put(begun, database.handle(Table::meta), &key, &value, 0);
    if (code == 0) code = mdb_txn_commit(transaction.release());
    if (code != 0) return failed(code);
    return meta.state_id;
  };

  const auto id = make();
  if (!id) {
    std::filesystem::remove(files.fresh, ignored);
    return id.error();
  }
  if (::rename(files.fresh.c_str(), files.data.c_str()) != 0)
    return system_error(
        errno, fmt::format("cannot rename {} to {}", files.fresh.native(), files.data.native()));
  if (auto synced = sync_folder(files.folder); !synced) return synced;
  return write_marker(files, *id);
}

/// Waits until no reader without lock.mdb is left: such a one is invisible to the writer, which
/// would write over its pages. Only needed where lock.mdb is not there. The result is to be kept
/// until it is.
Result<Fd> wait_for_unseen_readers(const Files& files) {
  const auto locks = is_there(files.locks);
  if (!locks) return locks.error();
  if (*locks) return Fd{};
  Fd folder{::open(files.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder) return system_error(errno, fmt::format("cannot open {}", files.folder.native()));
  constexpr auto step = std::chrono::milliseconds(50);
  for (int left = 200; ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0; --left) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return system_error(errno, fmt::format("cannot lock {}", files.folder.native()));
    if (left == 0)
      return Error{Errc::busy,
                   fmt::format("{}: rcptsyncctl has been reading it for ten seconds; let it end",
                               files.data.native())};
    std::this_thread::sleep_for(step);
  }
  return folder;
}

/// For a reader where lock.mdb is not there, and so no daemon either: a shared lock that makes one
/// that starts wait. Nothing if lock.mdb has come up meanwhile.
Result<Fd> hold_off_owner(const Files& files) {
  Fd folder{::open(files.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder) return system_error(errno, fmt::format("cannot open {}", files.folder.native()));
  if (::flock(folder.get(), LOCK_SH) != 0)
    return system_error(errno, fmt::format("cannot lock {}", files.folder.native()));
  const auto locks = is_there(files.locks);
  if (!locks) return locks.error();
  return *locks ? Fd{} : std::move(folder);
}

/// What mdb_env_open() would not survive or not notice.
Result<> check_before_opening(const Files& files) {
  const Fd data{::open(files.data.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (!data) return system_error(errno, fmt::format("cannot open {}", files.data.native()));
  return check_meta_pages(data.get(), files.data);
}

std::uint64_t size_of(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Opens data.mdb and proves that it is a whole state of ours. One of an older schema is brought to
/// the present one by the owner, in a map that may grow to `max_map`.
Result<Database> open_database(const Files& files, unsigned flags, std::uint64_t map_size,
                               std::uint64_t max_map) {
  if (auto checked = check_before_opening(files); !checked) return checked.error();
  auto environment = open_environment(files, flags, map_size);
  if (!environment) return environment.error();
  Database database;
  database.file = files.data;
  database.environment = std::move(*environment);
  auto* const env = database.environment.get();
  const auto failed = [&](int code) {
    return lmdb::error(code, fmt::format("cannot open {}", files.data.native()));
  };

  int fd = -1;
  mdb_env_get_fd(env, &fd);
  // Processes that were killed leave their places taken, and there are 126.
  int dead = 0;
  mdb_reader_check(env, &dead);

  MDB_txn* begun = nullptr;
  int code = mdb_txn_begin(env, nullptr, MDB_RDONLY, &begun);
  if (code != 0) return failed(code);
  lmdb::Transaction transaction(begun);
  const std::uint64_t txnid = mdb_txn_id(begun);
  MDB_envinfo info{};
  mdb_env_info(env, &info);
  const bool is_owner = (flags & MDB_RDONLY) == 0;
  // The table of readers remembers the newest transaction of the file that it was made for.
  if (is_owner && info.me_last_txnid != txnid)
    return Error{
        Errc::busy,
        fmt::format("{}: another program still has the data.mdb open that was here before; "
                    "end it",
                    files.data.native())};

  // Also the owner asks first whose file it is: another program's may be of a kind that the full
  // check does not know.
  if (auto checked = check_pages(fd, files.data, txnid, PageCheck::catalogue); !checked)
    return checked.error();
  const auto schema = schema_of(database, begun);
  if (!schema) return schema.error();
  if (*schema < schema_number && !is_owner)
    return Error{
        Errc::foreign,
        fmt::format("{} has schema {}: it was written by an older rcptsync; start rcptsyncd "
                    "once, which brings it to schema {}",
                    files.data.native(), *schema, schema_number)};
  // LMDB does not write pages that were freed in the transaction that took them, so the file of a
  // whole state may end before its last page. Only the full check can tell; a reader avoids it.
  MDB_stat shape{};
  mdb_env_stat(env, &shape);
  const bool ends_early = size_of(files.data) / shape.ms_psize <= info.me_last_pgno;
  if (is_owner || ends_early)
    if (auto checked = check_pages(fd, files.data, txnid, PageCheck::full); !checked)
      return checked.error();
  if (*schema < schema_number) {
    transaction.reset();
    if (auto upgraded = upgrade_from_schema_1(database, max_map); !upgraded)
      return upgraded.error();
    database.environment.reset();
    return open_database(files, flags, map_size, max_map);
  }
  if (auto opened = open_tables(database, begun, 0); !opened) return opened.error();
  // The handles outlive a transaction only if it is committed.
  code = mdb_txn_commit(transaction.release());
  if (code != 0) return failed(code);
  return database;
}

Result<std::string> state_id_of(Store& store) {
  std::string id;
  auto read = store.read([&](View& view) -> Result<> {
    auto meta = view.meta();
    if (!meta) return meta.error();
    id = meta->state_id;
    return {};
  });
  if (!read) return read.error();
  return id;
}

Result<> check_folder(const Files& files) {
  struct stat status {};
  if (::stat(files.folder.c_str(), &status) != 0)
    return system_error(errno, fmt::format("state folder {}", files.folder.native()));
  if ((status.st_mode & S_IWOTH) != 0)
    return Error{
        Errc::permission,
        fmt::format("state folder {} can be written by everybody (mode {:04o}); run: chmod "
                    "700 {}",
                    files.folder.native(), status.st_mode & 07777, files.folder.native())};
  return {};
}

// A look whether a daemon runs (rcptsyncctl status) holds the lock for a moment: that is no owner.
Result<Fd> lock_as_owner(const Files& files) {
  auto lock = lock_file(files.owner);
  for (int left = 20; !lock && lock.error().code == Errc::busy && left > 0; --left) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    lock = lock_file(files.owner);
  }
  if (!lock && lock.error().code == Errc::busy)
    return Error{Errc::busy,
                 fmt::format("another rcptsyncd has the state in {}: it holds {}; end it first, or "
                             "set another state_dir",
                             files.folder.native(), files.owner.native())};
  return lock;
}

}  // namespace

Result<std::unique_ptr<Store>> open_owner(const std::filesystem::path& folder,
                                          const Options& options) {
  const Files files(folder);
  auto claim = Claim::take(folder);
  if (!claim) return claim.error();
  if (auto checked = check_folder(files); !checked) return checked.error();
  auto lock = lock_as_owner(files);
  if (!lock) return lock.error();

  const auto data = is_there(files.data);
  if (!data) return data.error();
  auto marker = read_marker(files);
  if (!marker) return marker.error();
  if (!*data) {
    if (*marker) return state_is_missing(files);
    if (auto created = create_state(files); !created) return created.error();
    marker = read_marker(files);
    if (!marker) return marker.error();
  }

  const auto unseen = wait_for_unseen_readers(files);
  if (!unseen) return unseen.error();
  // Room for twice of what is there, so that most starts never grow the map.
  const auto map_size =
      std::min(std::max(options.initial_map, 2 * size_of(files.data)), options.max_map);
  auto database = open_database(files, 0, map_size, options.max_map);
  if (!database) return database.error();
  auto store = std::make_unique<LmdbStore>(LmdbStore::Locks{std::move(*claim), std::move(*lock)},
                                           std::move(*database), 0, options.max_map);
  const auto id = state_id_of(*store);
  if (!id) return id.error();
  if (*marker && **marker != *id)
    return Error{
        Errc::foreign,
        fmt::format("{} is state {}, but this folder had state {}; restore the right file, "
                    "or remove {} if this one is meant",
                    files.data.native(), *id, escape(**marker, 64), files.marker.native())};
  if (!*marker)
    if (auto written = write_marker(files, *id); !written) return written.error();
  return store;
}

Result<std::unique_ptr<Store>> open_reader(const std::filesystem::path& folder) {
  const Files files(folder);
  auto claim = Claim::take(folder);
  if (!claim) return claim.error();
  const auto data = is_there(files.data);
  if (!data) return data.error();
  if (!*data) {
    const auto marker = is_there(files.marker);
    if (!marker) return marker.error();
    if (*marker) return state_is_missing(files);
    return Error{Errc::not_found,
                 fmt::format("there is no state in {}: no daemon has run with it yet",
                             files.folder.native())};
  }

  const auto locks = is_there(files.locks);
  if (!locks) return locks.error();
  Fd unseen;
  if (!*locks) {
    auto held = hold_off_owner(files);
    if (!held) return held.error();
    unseen = std::move(*held);
  }
  const unsigned flags = MDB_RDONLY | (unseen ? MDB_NOLOCK : 0U);
  auto database =
      open_database(files, flags, std::max<std::uint64_t>(size_of(files.data), 1 << 20), 0);
  if (!database) return database.error();
  return std::make_unique<LmdbStore>(LmdbStore::Locks{std::move(*claim), std::move(unseen)},
                                     std::move(*database), flags, 0);
}

}  // namespace rcptsync::store

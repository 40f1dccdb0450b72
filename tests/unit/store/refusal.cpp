// What is not a whole state of ours is refused with words, and nothing is made in its place.
#include <lmdb.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.hpp"
#include "catch.hpp"
#include "store/codec.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

void write(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

std::string bytes_of(const std::filesystem::path& file) {
  return read_file(file, 1UL << 30).value();
}

// Both ways of opening refuse with `code`, name the file, and leave it as it is.
void check_refused(const Folder& folder, Errc code, std::string_view words) {
  const auto there = std::filesystem::exists(folder.data());
  const auto before = there ? bytes_of(folder.data()) : "";
  for (const auto& opened : {open_owner(folder.path), open_reader(folder.path)}) {
    REQUIRE_FALSE(opened);
    INFO(opened.error().message);
    CHECK(opened.error().code == code);
    CHECK(opened.error().message.find(folder.data().native()) != std::string::npos);
    CHECK(opened.error().message.find(words) != std::string::npos);
  }
  CHECK(std::filesystem::exists(folder.data()) == there);
  if (there) CHECK(bytes_of(folder.data()) == before);
}

// An LMDB file as another program makes it.
void make_foreign(const Folder& folder, const char* table, unsigned flags, std::string_view key) {
  MDB_env* env = nullptr;
  mdb_env_create(&env);
  mdb_env_set_maxdbs(env, 4);
  REQUIRE(mdb_env_open(env, folder.path.c_str(), 0, 0600) == 0);
  MDB_txn* txn = nullptr;
  REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
  MDB_dbi dbi = 0;
  REQUIRE(mdb_dbi_open(txn, table, MDB_CREATE | flags, &dbi) == 0);
  MDB_val name{key.size(), const_cast<char*>(key.data())};
  for (auto value : {"1", "2", "3"}) {
    MDB_val data{1, const_cast<char*>(value)};
    REQUIRE(mdb_put(txn, dbi, &name, &data, 0) == 0);
  }
  REQUIRE(mdb_txn_commit(txn) == 0);
  mdb_env_close(env);
}

// Writes the format record of a state as some other version would.
void set_format(const Folder& folder, std::string_view record) {
  MDB_env* env = nullptr;
  mdb_env_create(&env);
  mdb_env_set_maxdbs(env, 10);
  REQUIRE(mdb_env_open(env, folder.path.c_str(), 0, 0600) == 0);
  MDB_txn* txn = nullptr;
  REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
  MDB_dbi dbi = 0;
  REQUIRE(mdb_dbi_open(txn, "meta", 0, &dbi) == 0);
  MDB_val name{6, const_cast<char*>("format")};
  MDB_val data{record.size(), const_cast<char*>(record.data())};
  REQUIRE(mdb_put(txn, dbi, &name, &data, 0) == 0);
  REQUIRE(mdb_txn_commit(txn) == 0);
  mdb_env_close(env);
}

}  // namespace

TEST_CASE("a file that is no state is refused") {
  Folder folder;
  write(folder.data(), "");
  check_refused(folder, Errc::damaged, "is empty");
  write(folder.data(), "# recipients\nceo@example.com OK\n");
  check_refused(folder, Errc::damaged, "cut off");
  write(folder.data(), std::string(100000, 'x'));
  check_refused(folder, Errc::foreign, "no LMDB file");
  write(folder.data(), std::string(100000, '\0'));
  check_refused(folder, Errc::foreign, "no LMDB file");
  std::filesystem::remove(folder.data());
  std::filesystem::create_directory(folder.data());
  CHECK(open_owner(folder.path).error().code == Errc::foreign);
  std::filesystem::remove(folder.data());
  REQUIRE(::mkfifo(folder.data().c_str(), 0600) == 0);
  CHECK(open_owner(folder.path).error().code == Errc::foreign);  // and does not wait for a writer
}

TEST_CASE("the LMDB file of another program is refused") {
  struct Kind {
    const char* table;
    unsigned flags;
    const char* key;
  };
  const auto kind = GENERATE(Kind{nullptr, 0, "user@example.com"},  // as Postfix makes them
                             Kind{nullptr, 0, "meta"},  // a record where we have a table
                             Kind{nullptr, MDB_DUPSORT, "user"}, Kind{"cache", 0, "user"},
                             Kind{"meta", 0, "version"}, Kind{"meta", MDB_DUPSORT, "format"},
                             Kind{"meta", 0, "format"});
  Folder folder;
  make_foreign(folder, kind.table, kind.flags, kind.key);
  check_refused(folder, Errc::foreign, "another program");
}

TEST_CASE("a state of a later schema is refused") {
  Folder folder;
  REQUIRE(open_owner(folder.path));
  set_format(folder, std::string("rcptsync\0\0\0\3", 12));
  check_refused(folder, Errc::foreign, "newer rcptsync");
  set_format(folder, std::string("rcptsync\0\0\0\0", 12));
  check_refused(folder, Errc::damaged, "schema 0");
  // What says so, but has the records of schema 2.
  set_format(folder, std::string("rcptsync\0\0\0\1", 12));
  CHECK(open_owner(folder.path).error().code == Errc::damaged);
  CHECK(open_reader(folder.path).error().code == Errc::foreign);
  set_format(folder, std::string("rcptsync\0\0\0\2", 12));
  CHECK(open_owner(folder.path));
}

TEST_CASE("a state that is gone is not begun anew by itself") {
  Folder folder;
  REQUIRE(fill(*open_owner(folder.path).value(), 10).value());
  const auto state = bytes_of(folder.data());
  std::filesystem::remove(folder.data());
  check_refused(folder, Errc::damaged, "is missing");
  CHECK(open_owner(folder.path).error().message.find((folder.path / "state-id").native()) !=
        std::string::npos);

  // Both ways out that the message names.
  write(folder.data(), state);
  REQUIRE(open_owner(folder.path));
  std::filesystem::remove(folder.data());
  std::filesystem::remove(folder.path / "state-id");
  auto anew = open_owner(folder.path).value();
  REQUIRE(anew->read([](View& view) -> Result<> {
    CHECK(view.meta().value().generation == 0);
    return {};
  }));
}

TEST_CASE("the state of another host is not taken for this one") {
  Folder one, other;
  REQUIRE(open_owner(one.path));
  REQUIRE(open_owner(other.path));
  std::filesystem::copy_file(other.data(), one.data(),
                             std::filesystem::copy_options::overwrite_existing);
  const auto refused = open_owner(one.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::foreign);
  CHECK(refused.error().message.find("state-id") != std::string::npos);
  std::filesystem::remove(one.path / "state-id");
  CHECK(open_owner(one.path));

  write(one.path / "state-id", "something else\n");
  CHECK(open_owner(one.path).error().code == Errc::damaged);
}

TEST_CASE("a folder that is not there, not a folder or open to everybody is refused") {
  Folder folder;
  CHECK(open_owner(folder.path / "none").error().code == Errc::not_found);
  write(folder.path / "file", "");
  CHECK(open_owner(folder.path / "file").error().code == Errc::invalid);
  std::filesystem::create_directory(folder.path / "open");
  ::chmod((folder.path / "open").c_str(), 0777);
  const auto refused = open_owner(folder.path / "open");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::permission);
  CHECK(refused.error().message.find("chmod 700") != std::string::npos);
}

TEST_CASE("another data.mdb under the feet of a running reader is noticed") {
  Folder folder;
  REQUIRE(fill(*open_owner(folder.path).value(), 10).value());
  Gate reading, done;
  Child reader([&] {
    auto store = open_reader(folder.path);
    if (!store) return 1;
    return (*store)->read([&](View&) -> Result<> {
      reading.open();
      (void)done.wait();
      return {};
    })
               ? 0
               : 2;
  });
  REQUIRE(reading.wait());
  std::filesystem::remove(folder.data());
  std::filesystem::remove(folder.path / "state-id");
  const auto refused = open_owner(folder.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::busy);
  done.open();
  CHECK(reader.wait() == 0);
  CHECK(open_owner(folder.path));
}

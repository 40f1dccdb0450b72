// Root's rights laid down: what is opened meanwhile is opened as the owner of the folder.
#include "service/as_owner.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/file.hpp"
#include "catch.hpp"
#include "folder.hpp"
#include "store/store.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using rcptsync::service::test::Folder;

namespace {

constexpr uid_t account = 65534;

void give(const std::filesystem::path& path) {
  REQUIRE(::lchown(path.c_str(), account, account) == 0);
}

}  // namespace

TEST_CASE("root opens the state of another account with its rights, and has its own again") {
  if (::geteuid() != 0) return;  // nothing to lay down or hand over
  const Folder folder;
  REQUIRE(store::open_owner(folder.path()));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) give(entry.path());
  give(folder.path());
  const Folder elsewhere;
  const auto victim = elsewhere.path() / "victim";
  REQUIRE(replace_file(victim, "only root writes here", 0600));
  std::filesystem::remove(folder.path() / "lock.mdb");
  std::filesystem::create_symlink(victim, folder.path() / "lock.mdb");
  {
    const auto rights = AsOwner::of(folder.path());
    REQUIRE(rights);
    CHECK(::geteuid() == account);
    CHECK(::getegid() == account);
    CHECK_FALSE(store::open_reader(folder.path()));
  }
  CHECK(::geteuid() == 0);
  CHECK(::getegid() == 0);
  CHECK(read_file(victim, 100).value() == "only root writes here");
  std::filesystem::remove(folder.path() / "lock.mdb");
  const auto rights = AsOwner::of(folder.path());
  REQUIRE(rights);
  CHECK(store::open_reader(folder.path()));
}

TEST_CASE("nothing changes for a folder of our own and for none") {
  const Folder folder;
  const auto before = ::geteuid();
  const auto own = AsOwner::of(folder.path());
  const auto none = AsOwner::of(folder.path() / "none");
  CHECK(own);
  CHECK(none);
  CHECK(::geteuid() == before);
}

TEST_CASE("a file that root makes in the folder of another account belongs to it") {
  if (::geteuid() != 0) return;  // nothing to lay down or hand over
  const Folder folder;
  give(folder.path());
  REQUIRE(replace_file(folder.path() / "status.json", "{}", 0600));
  struct stat status {};
  REQUIRE(::stat((folder.path() / "status.json").c_str(), &status) == 0);
  CHECK(status.st_uid == account);
}

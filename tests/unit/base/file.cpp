#include "base/file.hpp"

#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "catch.hpp"

using namespace rcptsync;

namespace {

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "rcptsync-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path),
                                                  std::filesystem::directory_iterator()));
  }
};

}  // namespace

TEST_CASE("replace_file writes the whole, with the mode, and leaves nothing beside it") {
  Folder folder;
  const auto file = folder.path / "f";
  REQUIRE(replace_file(file, "one", 0600));
  REQUIRE(replace_file(file, std::string(300000, 'x'), 0640));
  CHECK(read_file(file, 1 << 20).value() == std::string(300000, 'x'));
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  CHECK(folder.entries() == 1);
}

TEST_CASE("replace_file that cannot rename leaves the old things and no temporary file") {
  Folder folder;
  std::filesystem::create_directory(folder.path / "f");
  std::filesystem::create_directory(folder.path / "f" / "full");
  CHECK_FALSE(replace_file(folder.path / "f", "x", 0600));
  CHECK(folder.entries() == 1);
}

TEST_CASE("read_file refuses what is too large, missing or no regular file") {
  Folder folder;
  const auto file = folder.path / "f";
  REQUIRE(replace_file(file, "12345", 0600));
  CHECK(read_file(file, 5).value() == "12345");
  CHECK(read_file(file, 4).error().code == Errc::limit);
  CHECK(read_file(folder.path / "none", 4).error().code == Errc::not_found);
  CHECK(read_file(folder.path, 4).error().code == Errc::invalid);
  const auto fifo = folder.path / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(read_file(fifo, 4).error().code == Errc::invalid);  // and does not wait for a writer
}

TEST_CASE("a secret that others can read is refused with the way out") {
  Folder folder;
  const auto file = folder.path / "key";
  REQUIRE(replace_file(file, "secret", 0600));
  CHECK(read_secret(file).value() == "secret");
  REQUIRE(::chmod(file.c_str(), 0640) == 0);
  const auto refused = read_secret(file);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::permission);
  CHECK(refused.error().message.find("chmod 600") != std::string::npos);
  CHECK(refused.error().message.find("secret") == std::string::npos);
  CHECK(read_secret(file, 007).value() == "secret");
}

TEST_CASE("a lock is held against another process until its descriptor closes") {
  Folder folder;
  const auto file = folder.path / "lock";
  const auto other_can_lock = [&] {
    const auto child = ::fork();
    if (child == 0) ::_exit(lock_file(file) ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status) == 0;
  };
  auto lock = lock_file(file);
  REQUIRE(lock);
  CHECK_FALSE(other_can_lock());
  lock->reset();
  CHECK(other_can_lock());
}

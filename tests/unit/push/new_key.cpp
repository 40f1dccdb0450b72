// Key pairs: what is written reads back as what it is, and nothing is ever replaced.
#include "push/new_key.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/random.hpp"
#include "catch.hpp"
#include "push/identity.hpp"

using namespace rcptsync;
using namespace rcptsync::push;

namespace {

struct Folder {
  Folder() {
    path = std::filesystem::temp_directory_path() / ("new-key-" + random_hex(system_random(), 8));
    std::filesystem::create_directory(path);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

mode_t mode_of(const std::filesystem::path& file) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a new pair is an Ed25519 key that can be used, and its own public line") {
  const auto pair = new_key_pair("rcptsync@host");
  REQUIRE(pair);
  const auto type = private_key_type(pair->private_file, key_support());
  REQUIRE(type);
  CHECK(*type == "ssh-ed25519");
  const auto line = public_line_of(pair->private_file);
  REQUIRE(line);
  CHECK(pair->public_line == *line + " rcptsync@host");
  CHECK(pair->fingerprint.size() == 50);
  CHECK(pair->private_file.ends_with("-----END OPENSSH PRIVATE KEY-----\n"));
  const auto other = new_key_pair("rcptsync@host");
  REQUIRE(other);
  CHECK(other->public_line != pair->public_line);
}

TEST_CASE("a comment cannot add a line") {
  const auto pair = new_key_pair("a\nssh-ed25519 AAAA evil");
  REQUIRE(pair);
  CHECK(pair->public_line.find('\n') == std::string::npos);
  CHECK(pair->public_line.ends_with(" a_ssh-ed25519 AAAA evil"));
  const auto none = new_key_pair("");
  REQUIRE(none);
  CHECK(none->public_line == *public_line_of(none->private_file));
}

TEST_CASE("a pair is saved with its modes and never replaces anything") {
  const Folder folder;
  const auto file = folder.path / "made" / "too" / "key";
  const auto pair = new_key_pair("one");
  REQUIRE(pair);
  REQUIRE(save_key_pair(*pair, file));
  CHECK(mode_of(file) == 0600);
  CHECK(mode_of(file.native() + ".pub") == 0644);
  CHECK(mode_of(file.parent_path()) == 0700);
  const auto again = save_key_pair(*pair, file);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::invalid);
  std::filesystem::remove(file);
  CHECK_FALSE(save_key_pair(*pair, file));
  CHECK_FALSE(std::filesystem::exists(file));
}

TEST_CASE("the public part of what is no OpenSSH key is not known") {
  for (const std::string text :
       {"", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "ssh-ed25519 AAAA",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n!!!\n-----END OPENSSH PRIVATE KEY-----\n"})
    CHECK_FALSE(public_line_of(text));
}

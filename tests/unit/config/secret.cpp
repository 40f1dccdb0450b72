#include "config/secret.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync;
using namespace rcptsync::config;

namespace {

// $CREDENTIALS_DIRECTORY for the length of a test.
class Credentials {
 public:
  explicit Credentials(const std::filesystem::path& folder) {
    ::setenv("CREDENTIALS_DIRECTORY", folder.c_str(), 1);
  }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  ~Credentials() { ::unsetenv("CREDENTIALS_DIRECTORY"); }
};

SecretRef file(const std::filesystem::path& path) {
  return {SecretRef::Kind::file, path.native(), 0};
}

void write(const Folder& folder, std::string_view name, std::string_view bytes, mode_t mode) {
  folder.write(name, bytes);
  ::chmod((folder / name).c_str(), mode);
}

}  // namespace

TEST_CASE("a credential stands where systemd says, else in /etc") {
  const SecretRef ref{SecretRef::Kind::credential, "ad-password", 0};
  ::unsetenv("CREDENTIALS_DIRECTORY");
  CHECK(resolve(ref) == "/etc/rcptsync/credentials/ad-password");
  ::setenv("CREDENTIALS_DIRECTORY", "", 1);
  CHECK(resolve(ref) == "/etc/rcptsync/credentials/ad-password");
  const Credentials credentials("/run/credentials/rcptsyncd.service");
  CHECK(resolve(ref) == "/run/credentials/rcptsyncd.service/ad-password");
  CHECK(resolve(file("/x/y")) == "/x/y");
}

TEST_CASE("a secret that others can read is refused") {
  const Folder folder;
  write(folder, "secret", "s3cret\n", 0640);
  const auto refused = config::read_secret(file(folder / "secret"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::permission);
  CHECK(refused.error().message.find("chmod 600") != std::string::npos);
  CHECK(refused.error().message.find("s3cret") == std::string::npos);
  ::chmod((folder / "secret").c_str(), 0600);
  CHECK(config::read_secret(file(folder / "secret")).value() == "s3cret\n");
}

TEST_CASE("what systemd hands out shows group bits, and never bits for others") {
  const Folder folder;
  const SecretRef ref{SecretRef::Kind::credential, "key", 0};
  const Credentials credentials(folder / "");
  write(folder, "key", "k", 0440);
  CHECK(config::read_secret(ref).value() == "k");
  ::chmod((folder / "key").c_str(), 0444);
  CHECK(config::read_secret(ref).error().code == Errc::permission);
}

TEST_CASE("a missing secret is named with the way out") {
  const Folder folder;
  const Credentials credentials(folder / "");
  const auto missing = config::read_secret({SecretRef::Kind::credential, "key", 0});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::not_found);
  CHECK(missing.error().message.find("credential key: ") == 0);
  CHECK(missing.error().message.find("LoadCredential=key:FILE") != std::string::npos);
}

TEST_CASE("a password is the secret without one final newline") {
  const Folder folder;
  const auto read = [&](std::string_view bytes) {
    write(folder, "password", bytes, 0600);
    return read_password(file(folder / "password"));
  };
  CHECK(read("s3cret").value() == "s3cret");
  CHECK(read("s3cret\n").value() == "s3cret");
  CHECK(read("s3cret\r\n").value() == "s3cret");
  CHECK(read(" s3cret \n\n").value() == " s3cret \n");
  CHECK(read("").error().code == Errc::credentials);
  CHECK(read("\n").error().code == Errc::credentials);
  CHECK(read(std::string_view("a\0b\n", 4)).error().code == Errc::credentials);
}

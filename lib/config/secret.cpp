#include "config/secret.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "base/file.hpp"

namespace rcptsync::config {
namespace {

constexpr auto outside_systemd = "/etc/rcptsync/credentials";

// Where systemd put this service's credentials; empty outside of it.
std::filesystem::path credentials_directory() {
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  return folder == nullptr ? "" : folder;
}

// What to do about a secret that is not there.
std::string way_out(const SecretRef& ref, const std::filesystem::path& path) {
  if (ref.kind == SecretRef::Kind::file)
    return fmt::format("create it with mode 0600, or correct the path in the configuration");
  if (credentials_directory().empty())
    return fmt::format("put the secret into {} with mode 0600", path.native());
  return fmt::format("add LoadCredential={}:FILE to the unit (systemctl edit rcptsyncd)", ref.name);
}

}  // namespace

std::filesystem::path resolve(const SecretRef& ref) {
  if (ref.kind == SecretRef::Kind::file) return ref.name;
  const auto folder = credentials_directory();
  return (folder.empty() ? std::filesystem::path(outside_systemd) : folder) / ref.name;
}

Result<std::string> read_secret(const SecretRef& ref) {
  // systemd gives the service's user access by an access list, whose mask shows as the group bits.
  const bool handed_out =
      ref.kind == SecretRef::Kind::credential && !credentials_directory().empty();
  const auto path = resolve(ref);
  auto bytes = rcptsync::read_secret(path, handed_out ? 007 : 077);
  if (bytes) return bytes;
  auto error = bytes.error();
  if (error.code == Errc::not_found) error.message += "; " + way_out(ref, path);
  if (ref.kind == SecretRef::Kind::credential) return error.within("credential " + ref.name);
  return error;
}

Result<std::string> read_password(const SecretRef& ref) {
  auto password = config::read_secret(ref);
  if (!password) return password;
  if (password->ends_with('\n')) password->pop_back();
  if (password->ends_with('\r')) password->pop_back();
  const auto path = resolve(ref).native();
  if (password->empty())
    return Error{Errc::credentials,
                 fmt::format("{} is empty; an empty password would make the bind anonymous; write "
                             "the password into it",
                             path)};
  if (password->find('\0') != std::string::npos)
    return Error{Errc::credentials,
                 fmt::format("{} has a NUL byte and is no password; write the password into it as "
                             "plain text",
                             path)};
  return password;
}

}  // namespace rcptsync::config

#include "push/new_key.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "base/random.hpp"
#include "push/base64.hpp"
#include "push/known_hosts.hpp"
#include "push/wire.hpp"

namespace rcptsync::push {
namespace {

constexpr std::string_view type = "ssh-ed25519";
constexpr std::string_view first_line = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
constexpr std::string_view last_line = "-----END OPENSSH PRIVATE KEY-----\n";
constexpr std::size_t line_length = 70;
constexpr std::size_t block = 8;  // of cipher `none`

std::string number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

/// A `string` of RFC 4251 §5.
std::string text(std::string_view bytes) {
  return number(static_cast<std::uint32_t>(bytes.size())).append(bytes);
}

struct Raw {
  std::string seed = std::string(32, '\0'), point = std::string(32, '\0');
  Raw() = default;
  Raw(Raw&&) = default;
  Raw& operator=(Raw&&) = default;
  ~Raw() { OPENSSL_cleanse(seed.data(), seed.size()); }
};

std::optional<Raw> generate() {
  const Handle<EVP_PKEY, EVP_PKEY_free> key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
  if (!key) return std::nullopt;
  Raw raw;
  auto size = raw.seed.size();
  auto* const seed = reinterpret_cast<unsigned char*>(raw.seed.data());
  if (EVP_PKEY_get_raw_private_key(key.get(), seed, &size) != 1 || size != raw.seed.size())
    return std::nullopt;
  size = raw.point.size();
  auto* const point = reinterpret_cast<unsigned char*>(raw.point.data());
  if (EVP_PKEY_get_raw_public_key(key.get(), point, &size) != 1 || size != raw.point.size())
    return std::nullopt;
  return raw;
}

std::string printable(std::string_view comment) {
  std::string line(comment.substr(0, 200));
  for (char& c : line)
    if (c < ' ' || c > '~') c = '_';
  return line;
}

std::string private_part(const Raw& raw, const std::string& comment) {
  std::array<unsigned char, 4> check{};
  if (RAND_bytes(check.data(), static_cast<int>(check.size())) != 1) return {};
  const std::string_view twice(reinterpret_cast<const char*>(check.data()), check.size());
  std::string part;
  part.reserve(512);  // so that no copy of the key is left behind by growing
  part.append(twice).append(twice).append(text(type)).append(text(raw.point));
  part.append(number(64)).append(raw.seed).append(raw.point).append(text(comment));
  for (char pad = 1; part.size() % block != 0; ++pad) part += pad;
  return part;
}

// O_EXCL and a link make sure that nothing is replaced and that nobody sees a part of it.
Result<> put_new(const std::filesystem::path& file, std::string_view bytes, mode_t mode) {
  const auto temporary = file.native() + "." + random_hex(system_random(), 8);
  const auto failed = [&](std::string_view what) {
    auto error = system_error(errno, fmt::format("{}: {}", file.native(), what));
    ::unlink(temporary.c_str());
    return error;
  };
  const Fd fd{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!fd) return system_error(errno, fmt::format("{}: cannot be created", file.native()));
  for (auto rest = bytes; !rest.empty();) {
    const auto put = ::write(fd.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("cannot be written");
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) return failed("cannot be written");
  if (::link(temporary.c_str(), file.c_str()) != 0) return failed("cannot be created");
  ::unlink(temporary.c_str());
  return sync_folder(file.parent_path());
}

Result<> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return {};
  std::filesystem::create_directories(folder.parent_path(), error);
  if (error || ::mkdir(folder.c_str(), 0700) != 0)
    return system_error(error ? error.value() : errno,
                        fmt::format("cannot create {}", folder.native()));
  return {};
}

}  // namespace

KeyPair::~KeyPair() {
  OPENSSL_cleanse(private_file.data(), private_file.size());
}

Result<KeyPair> new_key_pair(std::string_view comment) {
  const auto raw = generate();
  if (!raw) return Error{Errc::internal, "libcrypto makes no Ed25519 key"};
  const auto shown = printable(comment);
  const auto blob = text(type) + text(raw->point);
  auto part = private_part(*raw, shown);
  if (part.empty()) return Error{Errc::internal, "libcrypto gives no random numbers"};
  std::string body;
  body.reserve(2048);
  body.append("openssh-key-v1").push_back('\0');
  body.append(text("none")).append(text("none")).append(text("")).append(number(1));
  body.append(text(blob)).append(number(static_cast<std::uint32_t>(part.size()))).append(part);
  auto encoded = base64_encode(body);

  KeyPair pair;
  pair.private_file.reserve(2 * encoded.size());
  pair.private_file = first_line;
  for (std::string_view rest = encoded; !rest.empty();
       rest.remove_prefix(std::min(rest.size(), line_length)))
    pair.private_file.append(rest.substr(0, line_length)).push_back('\n');
  pair.private_file += last_line;
  for (auto* const secret : {&part, &body, &encoded})
    OPENSSL_cleanse(secret->data(), secret->size());
  pair.public_line = fmt::format("{} {} {}", type, base64_encode(blob), shown);
  while (pair.public_line.ends_with(' ')) pair.public_line.pop_back();
  pair.fingerprint = fingerprint(blob);
  return pair;
}

Result<> save_key_pair(const KeyPair& pair, const std::filesystem::path& file) {
  const auto public_file = std::filesystem::path(file.native() + ".pub");
  for (const auto& one : {file, public_file}) {
    struct stat status {};
    if (::lstat(one.c_str(), &status) == 0)
      return Error{
          Errc::invalid,
          fmt::format("{} is there already and is not replaced; for a new key name another "
                      "file, and list both in key_file: until every target has the new one",
                      one.native())};
  }
  if (auto made = make_folder(file.parent_path()); !made) return made;
  if (auto put = put_new(public_file, pair.public_line + "\n", 0644); !put) return put;
  if (auto put = put_new(file, pair.private_file, 0600); !put) {
    ::unlink(public_file.c_str());
    return put;
  }
  return {};
}

Result<std::string> public_line_of(std::string_view file) {
  using namespace std::string_view_literals;
  const Error no_key{Errc::credentials, "its public part is known only for OpenSSH's own format"};
  const auto begin = file.find(first_line);
  const auto end = file.find("-----END");
  if (begin != 0 || end == std::string_view::npos) return no_key;
  std::string encoded;
  for (const char c : file.substr(first_line.size(), end - first_line.size()))
    if (c != '\n' && c != '\r') encoded += c;
  auto body = base64_decode(encoded);
  OPENSSL_cleanse(encoded.data(), encoded.size());
  if (!body) return no_key;
  WireReader reader(*body);
  std::optional<std::string_view> blob;
  if (reader.take(15) == "openssh-key-v1\0"sv && reader.string() && reader.string() &&
      reader.string() && reader.uint32())
    blob = reader.string();
  std::optional<std::string_view> name;
  if (blob) name = WireReader(*blob).string();
  Result<std::string> line = no_key;
  if (name) line = fmt::format("{} {}", *name, base64_encode(*blob));
  OPENSSL_cleanse(body->data(), body->size());
  return line;
}

}  // namespace rcptsync::push

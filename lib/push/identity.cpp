#include "push/identity.hpp"

#include <fmt/format.h>
#include <libssh2.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "config/secret.hpp"
#include "push/base64.hpp"
#include "push/wire.hpp"

namespace rcptsync::push {
namespace {

constexpr std::string_view openssh_begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view openssh_end = "-----END OPENSSH PRIVATE KEY-----";

Error unusable(std::string message) {
  return {Errc::credentials, std::move(message)};
}

Error encrypted() {
  return unusable(
      "the key is encrypted with a passphrase, and nobody is there to type it; make a dedicated "
      "key "
      "without one (ssh-keygen -t ed25519 -N '' -f FILE) and protect the file, or remove the "
      "passphrase (ssh-keygen -p -N '' -f FILE)");
}

// The body of OpenSSH's format: base64 lines between the two markers.
std::optional<std::string> openssh_body(std::string_view bytes) {
  bytes.remove_prefix(openssh_begin.size());
  const auto end = bytes.find(openssh_end);
  if (end == std::string_view::npos) return std::nullopt;
  std::string text;
  for (const char c : bytes.substr(0, end))
    if (c != '\n' && c != '\r') text += c;
  auto body = base64_decode(text);
  OPENSSL_cleanse(text.data(), text.size());
  return body;
}

// PROTOCOL.key of OpenSSH: magic, cipher, kdf, kdf options, number of keys, public key, private
// part.
Result<std::string> openssh_type(std::string_view bytes) {
  auto body = openssh_body(bytes);
  if (!body) return unusable("the key is damaged: its base64 does not decode");
  const auto read = [](std::string_view whole) -> Result<std::string> {
    using namespace std::string_view_literals;
    WireReader reader(whole);
    if (reader.take(15) != "openssh-key-v1\0"sv)
      return unusable("the key is damaged: it does not begin as an OpenSSH key");
    const auto cipher = reader.string();
    const auto kdf = reader.string();
    const auto options = reader.string();
    const auto count = reader.uint32();
    const auto public_key = reader.string();
    if (!cipher || !kdf || !options || count != 1U || !public_key)
      return unusable("the key is damaged: it is cut off");
    if (*cipher != "none") return encrypted();
    const auto type = WireReader(*public_key).string();
    if (!type) return unusable("the key is damaged: its public part is cut off");
    return std::string(*type);
  };
  auto type = read(*body);
  OPENSSL_cleanse(body->data(), body->size());
  return type;
}

std::string curve_type(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &length) != 1)
    return "an unknown curve";
  const std::string_view curve(name.data(), length);
  if (curve == SN_X9_62_prime256v1) return "ecdsa-sha2-nistp256";
  if (curve == SN_secp384r1) return "ecdsa-sha2-nistp384";
  if (curve == SN_secp521r1) return "ecdsa-sha2-nistp521";
  return std::string(curve);
}

// PEM: PKCS #1, SEC 1 or PKCS #8.
Result<std::string> pem_type(std::string_view bytes) {
  if (bytes.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos ||
      bytes.find("BEGIN ENCRYPTED PRIVATE KEY") != std::string_view::npos)
    return encrypted();
  const Handle<BIO, BIO_free_all> input{
      BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))};
  // Without a callback OpenSSL would ask the terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const Handle<EVP_PKEY, EVP_PKEY_free> key{
      PEM_read_bio_PrivateKey(input.get(), nullptr, no_password, nullptr)};
  if (!key) return unusable("the key is damaged: its PEM does not decode");
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA:
      return std::string("ssh-rsa");
    case EVP_PKEY_EC:
      return curve_type(key.get());
    case EVP_PKEY_ED25519:
      return std::string("ssh-ed25519");
    case EVP_PKEY_DSA:
      return std::string("ssh-dss");
    default:
      return std::string("another algorithm");
  }
}

Result<std::string> format_type(std::string_view bytes) {
  // What the unit hands out for a credential that nobody has stored yet.
  if (bytes.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return unusable("it is empty: put the private key there (ssh-keygen -t ed25519 -N '' -f FILE)");
  if (bytes.starts_with(openssh_begin)) return openssh_type(bytes);
  if (bytes.starts_with("-----BEGIN ")) {
    auto type = pem_type(bytes);
    // The SSH library reads PKCS #8 of this algorithm from a file only, and we hold it in memory.
    if (type && *type == "ssh-ed25519")
      return unusable(
          "an Ed25519 key must stand in OpenSSH's format, not in PEM; make one with ssh-keygen -t "
          "ed25519 -N '' -f FILE");
    return type;
  }
  if (bytes.starts_with("PuTTY-User-Key-File"))
    return unusable(
        "this is a PuTTY key; convert it: puttygen KEY.ppk -O private-openssh-new -o FILE");
  for (const std::string_view prefix : {"ssh-", "ecdsa-", "sk-"})
    if (bytes.starts_with(prefix))
      return unusable("this is the public key; name the private one, the file without .pub");
  return unusable("this is no private key in OpenSSH's format or PEM");
}

}  // namespace

Identity::~Identity() {
  OPENSSL_cleanse(key.data(), key.size());
}

KeySupport key_support() {
  return {.rsa_sha2 = libssh2_version(0x010b00) != nullptr};  // 1.11.0
}

Result<std::string> private_key_type(std::string_view bytes, const KeySupport& support) {
  auto type = format_type(bytes);
  if (!type) return type;
  constexpr std::array<std::string_view, 4> usable = {"ssh-ed25519", "ecdsa-sha2-nistp256",
                                                      "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"};
  if (std::find(usable.begin(), usable.end(), *type) != usable.end()) return type;
  if (*type != "ssh-rsa")
    return unusable(fmt::format(
        "a key of type {} cannot be used; make an Ed25519 key: ssh-keygen -t ed25519 -N '' -f FILE",
        escape(*type, 40)));
  if (!support.rsa_sha2)
    return unusable(fmt::format(
        "this is an RSA key, and libssh2 {} signs those with SHA-1 only, which SSH servers of "
        "today "
        "refuse; make an Ed25519 key (ssh-keygen -t ed25519 -N '' -f FILE), or use libssh2 1.11",
        libssh2_version(0)));
  return type;
}

Result<Identity> read_identity(const config::SecretRef& ref, const KeySupport& support) {
  const auto file = config::resolve(ref).native();
  auto bytes = config::read_secret(ref);
  if (!bytes) return bytes.error();
  Identity identity;
  identity.file = file;
  identity.key = std::move(*bytes);
  auto type = private_key_type(identity.key, support);
  if (!type) return type.error().within(file);
  identity.type = std::move(*type);
  return identity;
}

Result<std::vector<Identity>> read_identities(const config::Target& target,
                                              std::vector<std::string>& skipped) {
  std::vector<Identity> usable;
  std::optional<Error> first;
  for (const auto& ref : target.keys) {
    auto identity = read_identity(ref, key_support());
    if (identity) {
      usable.push_back(std::move(*identity));
    } else {
      skipped.push_back(identity.error().message);
      if (!first) first = identity.error();
    }
  }
  if (!usable.empty()) return usable;
  return first.value_or(Error{Errc::credentials, "key_file: names no key"});
}

}  // namespace rcptsync::push

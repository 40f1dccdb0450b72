// What a source proves itself with, as far as no server is needed for it.
#include <krb5/krb5.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/digest.hpp"
#include "base/handle.hpp"
#include "catch.hpp"
#include "source/channel_binding.hpp"
#include "source/client_certificate.hpp"
#include "source/kerberos.hpp"

using namespace rcptsync;
using namespace rcptsync::source;
using namespace std::chrono_literals;

namespace {

using Key = Handle<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Handle<X509, X509_free>;

// A certificate as bytes, signed with its own key by that digest.
std::string certificate(EVP_PKEY* key, const EVP_MD* digest) {
  const Certificate made{X509_new()};
  X509_set_version(made.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), key);
  REQUIRE(X509_sign(made.get(), key, digest) > 0);
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(made.get(), &bytes);
  REQUIRE(size > 0);
  std::string copy(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return copy;
}

std::string endpoint_sha256(const std::string& der) {
  const auto digest = sha256(der);
  return "tls-server-end-point:" +
         std::string(reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size());
}

bool has(const Error& error, std::string_view text) {
  return error.message.find(text) != std::string::npos;
}

config::SecretRef file(const std::string& path) {
  return {.kind = config::SecretRef::Kind::file, .name = path};
}

struct TemporaryFile {
  explicit TemporaryFile(const std::string& text)
      : path(std::filesystem::temp_directory_path() /
             ("rcptsync-proof-" + std::to_string(::getpid()))) {
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms{0600});
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

}  // namespace

TEST_CASE("the channel binding is the digest that signed the certificate, never a weak one") {
  const Key ec{EVP_EC_gen("P-256")};
  const auto sha256_signed = certificate(ec.get(), EVP_sha256());
  CHECK(channel_binding_of(sha256_signed) == endpoint_sha256(sha256_signed));
  const auto sha1_signed = certificate(ec.get(), EVP_sha1());
  CHECK(channel_binding_of(sha1_signed) == endpoint_sha256(sha1_signed));
  const std::string prefix = "tls-server-end-point:";
  CHECK(channel_binding_of(certificate(ec.get(), EVP_sha384())).size() == prefix.size() + 48);
}

TEST_CASE("no channel binding is made where none is defined") {
  const Key edwards{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
  CHECK(channel_binding_of(certificate(edwards.get(), nullptr)).empty());
  CHECK(channel_binding_of("").empty());
  CHECK(channel_binding_of("no certificate").empty());
}

TEST_CASE("each failure of Kerberos is told with what to do about it") {
  const auto explain = [](std::int32_t code) {
    return explain_kerberos(code, "words\nof libkrb5", "svc@CORP.EXAMPLE", "ldap/dc1.corp.example");
  };
  CHECK(has(explain(KRB5KRB_AP_ERR_SKEW), "clock"));
  CHECK(explain(KRB5KRB_AP_ERR_SKEW).code != Errc::credentials);
  CHECK(has(explain(KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN), "knows no svc@CORP.EXAMPLE"));
  CHECK(has(explain(KRB5KDC_ERR_PREAUTH_FAILED), "new keytab"));
  CHECK(explain(KRB5KDC_ERR_PREAUTH_FAILED).code == Errc::credentials);
  CHECK(explain(KRB5_KDC_UNREACH).code == Errc::unreachable);
  CHECK(has(explain(KRB5_REALM_UNKNOWN), "CORP.EXAMPLE"));
  CHECK(has(explain(KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN), "ldap/dc1.corp.example"));
  CHECK(explain(KRB5KRB_AP_ERR_MODIFIED).code == Errc::untrusted);
  CHECK(explain(KRB5KDC_ERR_CLIENT_REVOKED).code == Errc::credentials);
  for (const long code : {0L, 1L, KRB5KDC_ERR_POLICY, KRB5KDC_ERR_ETYPE_NOSUPP})
    CHECK(has(explain(static_cast<std::int32_t>(code)), "words\\nof libkrb5"));
}

TEST_CASE("what is no keytab is said to be none, and no KDC is asked") {
  const TemporaryFile text("no keytab");
  const auto checked = check_keytab(file(text.path), "svc@CORP.EXAMPLE");
  REQUIRE_FALSE(checked);
  CHECK(has(checked.error(), "is no keytab"));

  Tickets tickets("svc@CORP.EXAMPLE", file("/does/not/exist"));
  const auto deadline = std::chrono::steady_clock::now() + 1h;
  const auto logged_in = tickets.log_in(deadline, {});
  REQUIRE_FALSE(logged_in);
  CHECK(has(logged_in.error(), "bind.keytab"));
  CHECK_FALSE(tickets.for_ldap("dc1.corp.example", deadline, {}));
}

TEST_CASE("a client certificate that is not there, or none, is a fault of that key") {
  const TemporaryFile text("no certificate");
  const auto now = std::chrono::system_clock::now();
  const auto missing = check_client_certificate(file("/does/not/exist"), file(text.path), now);
  REQUIRE_FALSE(missing);
  CHECK(has(missing.error(), "bind.cert_file"));
  const auto none = check_client_certificate(file(text.path), file(text.path), now);
  REQUIRE_FALSE(none);
  CHECK(has(none.error(), "holds no certificate"));
}

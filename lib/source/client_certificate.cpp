#include "source/client_certificate.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/escape.hpp"
#include "base/file.hpp"
#include "base/handle.hpp"
#include "config/secret.hpp"

namespace rcptsync::source {
namespace {

using Bio = Handle<BIO, BIO_free_all>;
using Certificate = Handle<X509, X509_free>;
using Key = Handle<EVP_PKEY, EVP_PKEY_free>;

// A certificate and those of its issuers.
constexpr std::size_t max_certificates = 256 << 10;

Bio reader(const std::string& text) {
  return Bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

// Nobody is there to be asked.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::string date(const ASN1_TIME* time) {
  const Bio bio{BIO_new(BIO_s_mem())};
  ASN1_TIME_print(bio.get(), time);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<Certificate> read_certificate(const config::SecretRef& ref) {
  const auto path = config::resolve(ref);
  const auto text = read_file(path, max_certificates);
  if (!text) return text.error().within("bind.cert_file");
  Certificate certificate{PEM_read_bio_X509(reader(*text).get(), nullptr, nullptr, nullptr)};
  if (certificate) return certificate;
  return Error{Errc::invalid, fmt::format("bind.cert_file: {} holds no certificate; it has to be a "
                                          "PEM file",
                                          escape(path.native()))};
}

Result<Key> read_key(const config::SecretRef& ref) {
  auto text = config::read_secret(ref);
  if (!text) return text.error().within("bind.key_file");
  bool asked = false;
  Key key{PEM_read_bio_PrivateKey(reader(*text).get(), nullptr, no_passphrase, &asked)};
  OPENSSL_cleanse(text->data(), text->size());
  if (key) return key;
  return Error{
      Errc::invalid,
      fmt::format("bind.key_file: {} {}", escape(config::resolve(ref).native()),
                  asked ? "wants a passphrase; store it without one: openssl pkey -in FILE -out NEW"
                        : "holds no private key; it has to be a PEM file")};
}

}  // namespace

Result<> check_client_certificate(const config::SecretRef& certificate_file,
                                  const config::SecretRef& key_file, WallTime now) {
  auto certificate = read_certificate(certificate_file);
  if (!certificate) return certificate.error();
  auto key = read_key(key_file);
  if (!key) return key.error();
  const bool pair = X509_check_private_key(certificate->get(), key->get()) == 1;
  ERR_clear_error();
  if (!pair)
    return Error{Errc::invalid,
                 fmt::format("bind.key_file: {} is not the key of the certificate in {}; name the "
                             "two files that were made together",
                             escape(config::resolve(key_file).native()),
                             escape(config::resolve(certificate_file).native()))};
  auto time = std::chrono::system_clock::to_time_t(now);
  const auto* begin = X509_get0_notBefore(certificate->get());
  const auto* end = X509_get0_notAfter(certificate->get());
  if (X509_cmp_time(end, &time) < 0)
    return Error{Errc::credentials,
                 fmt::format("bind.cert_file: the certificate in {} expired on {}; renew it",
                             escape(config::resolve(certificate_file).native()), date(end))};
  if (X509_cmp_time(begin, &time) > 0)
    return Error{Errc::credentials,
                 fmt::format("bind.cert_file: the certificate in {} is not valid before {}; check "
                             "this machine's clock",
                             escape(config::resolve(certificate_file).native()), date(begin))};
  return {};
}

}  // namespace rcptsync::source

#include "source/channel_binding.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>

#include "base/handle.hpp"

namespace rcptsync::source {

std::string channel_binding_of(std::string_view certificate) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(certificate.data());
  const Handle<X509, X509_free> parsed{
      ::d2i_X509(nullptr, &bytes, static_cast<long>(certificate.size()))};
  int digest = NID_undef;
  if (!parsed || X509_get_signature_info(parsed.get(), &digest, nullptr, nullptr, nullptr) != 1)
    return {};
  if (digest == NID_md5 || digest == NID_sha1) digest = NID_sha256;
  const EVP_MD* method = EVP_get_digestbynid(digest);
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned size = 0;
  if (method == nullptr || X509_digest(parsed.get(), method, hash.data(), &size) != 1) return {};
  return "tls-server-end-point:" + std::string(reinterpret_cast<const char*>(hash.data()), size);
}

}  // namespace rcptsync::source

#include "source/tls_diagnosis.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <vector>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "source/tcp_connect.hpp"
#include "source/watchdog.hpp"

namespace rcptsync::source {
namespace {

using Context = Handle<SSL_CTX, SSL_CTX_free>;
using Session = Handle<SSL, SSL_free>;
using Certificate = Handle<X509, X509_free>;
using Bio = Handle<BIO, BIO_free_all>;

std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? escape({data, static_cast<std::size_t>(size)}) : std::string{};
}

std::string date(const ASN1_TIME* time) {
  const Bio bio{BIO_new(BIO_s_mem())};
  ASN1_TIME_print(bio.get(), time);
  return contents(bio.get());
}

std::string name(const X509_NAME* name) {
  const Bio bio{BIO_new(BIO_s_mem())};
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  return contents(bio.get());
}

void free_names(GENERAL_NAMES* names) {
  GENERAL_NAMES_free(names);
}

std::string octets(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string address(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "?";
  const int length = ASN1_STRING_length(bytes);
  if (length == 4) ::inet_ntop(AF_INET, ASN1_STRING_get0_data(bytes), text, sizeof text);
  if (length == 16) ::inet_ntop(AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
  return text;
}

// The names that the certificate is for; at most eight of them, a message is not a zone file.
std::string names_of(X509* certificate) {
  constexpr int most = 8;
  const Handle<GENERAL_NAMES, free_names> names{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  std::vector<std::string> found;
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  for (int i = 0; i < count && i < most; ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(names.get(), i);
    if (one->type == GEN_DNS) found.push_back(escape(octets(one->d.dNSName)));
    if (one->type == GEN_IPADD) found.push_back(address(one->d.iPAddress));
  }
  if (count > most) found.emplace_back("…");
  return found.empty() ? name(X509_get_subject_name(certificate))
                       : fmt::format("{}", fmt::join(found, ", "));
}

Error untrusted(long reason, X509* certificate, const config::Server& server,
                const std::string& trust_file) {
  const auto say = [](std::string text) { return Error{Errc::untrusted, std::move(text)}; };
  switch (reason) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return say(fmt::format("the server's certificate expired on {}; renew it there",
                             date(X509_get0_notAfter(certificate))));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return say(fmt::format("the server's certificate is not valid before {}; check both clocks",
                             date(X509_get0_notBefore(certificate))));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return say(
          fmt::format("the server's certificate is for {}, not for {}; write one of its names in "
                      "servers, or have it issued for this one",
                      names_of(certificate), escape(server.host)));
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return say(
          fmt::format("the server's certificate is issued by {}, which {} does not vouch for; put "
                      "the certificate of its authority into a file and name it as ca_file",
                      name(X509_get_issuer_name(certificate)), escape(trust_file)));
    default:
      return say(fmt::format("the server's certificate does not verify: {}",
                             X509_verify_cert_error_string(reason)));
  }
}

// RFC 4511 §4.14: an ExtendedRequest with the name 1.3.6.1.4.1.1466.20037, message 1.
bool request_start_tls(int fd) {
  constexpr std::string_view request{
      "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
      "1.3.6.1.4.1.1466.20037",
      31};
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return false;
  // The server says nothing more before our handshake, so whatever comes now is the answer.
  std::array<char, 4096> answer;
  return ::recv(fd, answer.data(), answer.size(), 0) > 0;
}

}  // namespace

std::string system_trust_file() {
  constexpr std::array candidates{
      "/etc/ssl/certs/ca-certificates.crt",  // Debian, Alpine, Arch
      "/etc/pki/tls/certs/ca-bundle.crt",    // RHEL
      "/etc/ssl/ca-bundle.pem",              // SUSE
      "/etc/ssl/cert.pem",                   // BSD
  };
  std::error_code ignored;
  for (const auto* path : candidates)
    if (std::filesystem::exists(path, ignored)) return path;
  return candidates.front();
}

Error diagnose_tls(const config::Server& server, bool start_tls, const std::string& trust_file,
                   const std::string& seen, SteadyTime deadline, const std::stop_token& stop) {
  const Error unknown{
      Errc::untrusted,
      fmt::format("the TLS handshake failed: {}; look into the server's log",
                  seen.empty() ? "the server closed the connection" : escape(seen))};
  auto socket = tcp_connect(server.host, server.port, deadline, stop);
  if (!socket) return unknown;
  auto watchdog = Watchdog::watch(socket->get(), deadline, stop);
  if (!watchdog) return unknown;
  if (start_tls && !request_start_tls(socket->get())) return unknown;

  const Context context{SSL_CTX_new(TLS_client_method())};
  const Session session{context ? SSL_new(context.get()) : nullptr};
  if (!session) return unknown;
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context.get(), trust_file.c_str()) != 1)
    return {Errc::invalid, fmt::format("{} holds no certificates that can be read, so the server's "
                                       "cannot be verified; name a PEM file as ca_file",
                                       escape(trust_file))};
  // The handshake goes on whatever the verdict, so that the verdict can be read.
  SSL_set_verify(session.get(), SSL_VERIFY_NONE, nullptr);
  X509_VERIFY_PARAM* expected = SSL_get0_param(session.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, server.host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(expected, server.host.data(), server.host.size());
    SSL_set_tlsext_host_name(session.get(), server.host.c_str());
  }
  SSL_set_fd(session.get(), socket->get());
  if (SSL_connect(session.get()) != 1) {
    const auto code = ERR_peek_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return {
        Errc::protocol,
        fmt::format("no TLS handshake: {}; check that port {} is the right one ({})",
                    reason == nullptr ? "the server closed the connection" : reason, server.port,
                    start_tls ? "ldap:// with StartTLS is usually 389"
                              : "ldaps:// is usually 636, or 3269 for the global catalogue")};
  }
  const Certificate certificate{SSL_get1_peer_certificate(session.get())};
  const long reason = SSL_get_verify_result(session.get());
  if (!certificate) return unknown;
  if (reason == X509_V_OK && ascii_equal(server.host, "localhost"))
    return {Errc::untrusted,
            "the server's certificate is good for localhost, but libldap takes localhost for this "
            "machine's own name, for which it is not; write 127.0.0.1 or that name in servers, "
            "whichever stands in the certificate"};
  if (reason == X509_V_OK) return unknown;
  return untrusted(reason, certificate.get(), server, trust_file);
}

}  // namespace rcptsync::source

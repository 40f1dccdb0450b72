#include "source/gss_session.hpp"

#include <fmt/format.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include <cstdint>
#include <cstring>

#include "base/escape.hpp"

namespace rcptsync::source {
namespace {

class Buffer {
 public:
  Buffer() = default;
  ~Buffer() {
    OM_uint32 minor = 0;
    ::gss_release_buffer(&minor, &buffer_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  gss_buffer_t out() { return &buffer_; }
  [[nodiscard]] std::string text() const {
    return {static_cast<const char*>(buffer_.value), buffer_.length};
  }

 private:
  gss_buffer_desc buffer_ = GSS_C_EMPTY_BUFFER;
};

gss_buffer_desc view(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};
}

std::string words(OM_uint32 status, int type) {
  OM_uint32 minor = 0;
  OM_uint32 more = 0;
  Buffer text;
  ::gss_display_status(&minor, status, type, gss_mech_krb5, &more, text.out());
  return text.text();
}

}  // namespace

struct GssSession::Parts {
  ~Parts() {
    OM_uint32 minor = 0;
    if (context != GSS_C_NO_CONTEXT) ::gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
    if (credential != GSS_C_NO_CREDENTIAL) ::gss_release_cred(&minor, &credential);
    if (name != GSS_C_NO_NAME) ::gss_release_name(&minor, &name);
  }

  // GSSAPI's own codes say little; libkrb5's below them are the ones with a meaning.
  [[nodiscard]] Error failure(OM_uint32 major, OM_uint32 minor) const {
    const auto text = minor == 0 ? words(major, GSS_C_GSS_CODE) : words(minor, GSS_C_MECH_CODE);
    return explain_kerberos(static_cast<std::int32_t>(minor), text, {}, ticket.service);
  }

  Ticket ticket;  // its cache lives as long as the credential
  std::string channel_binding;
  OM_uint32 flags = 0;
  gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
  gss_name_t name = GSS_C_NO_NAME;
  gss_ctx_id_t context = GSS_C_NO_CONTEXT;
};

GssSession::GssSession(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
GssSession::~GssSession() = default;

Result<std::unique_ptr<GssSession>> GssSession::open(const Ticket& ticket, bool sealed,
                                                     std::string channel_binding) {
  auto parts = std::make_unique<Parts>();
  parts->ticket = ticket;
  parts->channel_binding = std::move(channel_binding);
  // Inside TLS neither is asked for: Active Directory refuses two layers of protection.
  parts->flags = GSS_C_MUTUAL_FLAG | GSS_C_SEQUENCE_FLAG;
  if (sealed) parts->flags |= GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG | GSS_C_REPLAY_FLAG;

  OM_uint32 minor = 0;
  gss_key_value_element_desc element{"ccache", ticket.cache->name().c_str()};
  const gss_key_value_set_desc store{1, &element};
  gss_OID_set_desc mechanisms{1, gss_mech_krb5};
  OM_uint32 major =
      ::gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE,
                              &store, &parts->credential, nullptr, nullptr);
  if (GSS_ERROR(major)) return parts->failure(major, minor);
  auto name = view(ticket.service);
  major = ::gss_import_name(&minor, &name, GSS_KRB5_NT_PRINCIPAL_NAME, &parts->name);
  if (GSS_ERROR(major)) return parts->failure(major, minor);
  return std::unique_ptr<GssSession>(new GssSession(std::move(parts)));
}

Result<std::string> GssSession::step(std::string_view token) {
  gss_channel_bindings_struct bindings{};
  bindings.application_data = view(parts_->channel_binding);
  auto input = view(token);
  Buffer output;
  OM_uint32 minor = 0;
  OM_uint32 granted = 0;
  const OM_uint32 major = ::gss_init_sec_context(
      &minor, parts_->credential, &parts_->context, parts_->name, gss_mech_krb5, parts_->flags, 0,
      parts_->channel_binding.empty() ? GSS_C_NO_CHANNEL_BINDINGS : &bindings, &input, nullptr,
      output.out(), &granted, nullptr);
  if (GSS_ERROR(major)) return parts_->failure(major, minor);
  established_ = major == GSS_S_COMPLETE;
  if (established_ && (granted & parts_->flags) != parts_->flags)
    return Error{Errc::untrusted,
                 "Kerberos: the server did not prove itself or does not protect what it sends; use "
                 "ldaps:// or start_tls: true"};
  return output.text();
}

unsigned GssSession::strength() const {
  OM_uint32 minor = 0;
  gss_buffer_set_t values = GSS_C_NO_BUFFER_SET;
  std::uint32_t bits = 0;
  if (::gss_inquire_sec_context_by_oid(&minor, parts_->context, GSS_C_SEC_CONTEXT_SASL_SSF,
                                       &values) == GSS_S_COMPLETE) {
    if (values->count == 1 && values->elements[0].length == 4)
      for (std::size_t i = 0; i < 4; ++i)
        bits = bits << 8 | static_cast<const unsigned char*>(values->elements[0].value)[i];
    ::gss_release_buffer_set(&minor, &values);
  }
  return bits;
}

Result<std::string> GssSession::wrap(std::string_view message, bool sealed) {
  auto input = view(message);
  Buffer output;
  OM_uint32 minor = 0;
  int is_sealed = 0;
  const OM_uint32 major = ::gss_wrap(&minor, parts_->context, sealed ? 1 : 0, GSS_C_QOP_DEFAULT,
                                     &input, &is_sealed, output.out());
  if (GSS_ERROR(major)) return parts_->failure(major, minor);
  if (sealed && is_sealed == 0)
    return Error{Errc::internal, "Kerberos: what should be sealed was not"};
  return output.text();
}

Result<std::string> GssSession::unwrap(std::string_view token, bool sealed) {
  auto input = view(token);
  Buffer output;
  OM_uint32 minor = 0;
  int is_sealed = 0;
  const OM_uint32 major =
      ::gss_unwrap(&minor, parts_->context, &input, output.out(), &is_sealed, nullptr);
  // Supplementary bits (a duplicate, a gap) are errors here: the messages come over one connection.
  if (major != GSS_S_COMPLETE) return parts_->failure(major, minor);
  if (sealed && is_sealed == 0)
    return Error{Errc::untrusted, "Kerberos: a message of the server was not sealed"};
  return output.text();
}

std::size_t GssSession::longest_message(std::size_t token) const {
  OM_uint32 minor = 0;
  OM_uint32 longest = 0;
  const auto limit = static_cast<OM_uint32>(token);
  return ::gss_wrap_size_limit(&minor, parts_->context, 1, GSS_C_QOP_DEFAULT, limit, &longest) ==
                 GSS_S_COMPLETE
             ? longest
             : 0;
}

}  // namespace rcptsync::source

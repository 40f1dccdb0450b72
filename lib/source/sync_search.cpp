#include "source/sync_search.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "base/escape.hpp"

namespace rcptsync::source {
namespace {

// Far beyond any directory.
constexpr std::uint64_t max_messages = 50'000'000;

using Controls = Handle<LDAPControl*, ldap_controls_free>;

void free_bytes(berval* bytes) {
  ::ber_bvfree(bytes);
}
void free_text(char* text) {
  ::ldap_memfree(text);
}

Error doubt(std::string_view during, std::string_view what) {
  return {Errc::foreign, fmt::format("{}: {}", during, what)};
}

Result<std::string_view> control_value(LDAPControl** controls, const char* oid,
                                       std::string_view during) {
  const auto* found = controls == nullptr ? nullptr : ::ldap_control_find(oid, controls, nullptr);
  if (found == nullptr) return doubt(during, "the server left out what RFC 4533 requires");
  return std::string_view(found->ldctl_value.bv_val, found->ldctl_value.bv_len);
}

}  // namespace

Result<int> SyncSearch::send(const Request& request, const std::string& during) {
  auto value = sync_request(request.mode, request.cookie);
  std::string oid = LDAP_CONTROL_SYNC;
  LDAPControl control{oid.data(), {value.size(), value.data()}, 1};
  return searcher_.send({.base = request.base,
                         .scope = request.scope,
                         .filter = request.filter,
                         .attributes = request.attributes,
                         .control = &control},
                        during);
}

Result<SyncSearch::End> SyncSearch::run(const Request& request, const std::string& during,
                                        const Handlers& handlers) {
  const auto operation = send(request, during);
  if (!operation) return operation.error();
  for (std::uint64_t count = 0; count < max_messages; ++count) {
    const auto message = connection_.next(*operation, during);
    if (!message) return message.error();
    if (::ldap_msgtype(message->get()) == LDAP_RES_SEARCH_RESULT)
      return end(message->get(), during);
    if (auto taken = take(message->get(), during, handlers); !taken) {
      // Or libldap would collect the rest of the answer while the connection is used further.
      ::ldap_abandon_ext(connection_.handle(), *operation, nullptr, nullptr);
      return taken.error();
    }
  }
  return doubt(during, fmt::format("more than {} messages; the server does not come to an end",
                                   max_messages));
}

Result<> SyncSearch::take(LDAPMessage* message, const std::string& during,
                          const Handlers& handlers) {
  switch (::ldap_msgtype(message)) {
    case LDAP_RES_SEARCH_ENTRY: {
      LDAPControl** list = nullptr;
      const int code = ::ldap_get_entry_controls(connection_.handle(), message, &list);
      const Controls controls(list);
      if (code != LDAP_SUCCESS) return doubt(during, "the server sent an entry that is not LDAP");
      const auto value = control_value(controls.get(), LDAP_CONTROL_SYNC_STATE, during);
      if (!value) return value.error();
      const auto state = parse_sync_state(*value);
      if (!state) return doubt(during, state.error().message);
      return handlers.on_entry(*state, message);
    }
    case LDAP_RES_SEARCH_REFERENCE:
      return {};
    case LDAP_RES_INTERMEDIATE: {
      char* oid = nullptr;
      berval* data = nullptr;
      const int code =
          ::ldap_parse_intermediate(connection_.handle(), message, &oid, &data, nullptr, 0);
      const Handle<char, free_text> owned_oid(oid);
      const Handle<berval, free_bytes> owned_data(data);
      if (code != LDAP_SUCCESS || oid == nullptr || data == nullptr ||
          std::string_view(oid) != LDAP_SYNC_INFO)
        return doubt(during, "the server sent a message that RFC 4533 does not know");
      const auto info = parse_sync_info({data->bv_val, data->bv_len});
      if (!info) return doubt(during, info.error().message);
      return handlers.on_info(*info);
    }
    default:
      return doubt(during, "the server answers with something else");
  }
}

Result<SyncSearch::End> SyncSearch::end(LDAPMessage* message, const std::string& during) {
  const auto result = connection_.result(message);
  if (!result) return result.error();
  if (result->status.code == LDAP_SYNC_REFRESH_REQUIRED)
    return doubt(during, fmt::format("the server cannot go on from the last read ({})",
                                     describe(result->status)));
  if (result->status.code != LDAP_SUCCESS)
    return doubt(during, fmt::format("the server refuses it ({})", describe(result->status)));
  const auto value = control_value(result->controls.get(), LDAP_CONTROL_SYNC_DONE, during);
  if (!value) return value.error();
  const auto done = parse_sync_done(*value);
  if (!done) return doubt(during, done.error().message);
  if (done->cookie.empty()) return doubt(during, "the server ends without a sync cookie");
  return End{std::string(done->cookie), done->refresh_deletes};
}

}  // namespace rcptsync::source

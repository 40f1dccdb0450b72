// Values of RFC 4533 and OpenLDAP's cookies: any bytes are read or refused; what is read lies
// within them, and marks have no other bytes.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "source/sync_cookie.hpp"
#include "source/sync_values.hpp"

namespace {

using namespace rcptsync::source;

void within(std::string_view bytes, std::string_view part) {
  if (part.empty()) return;
  if (part.data() < bytes.data() || part.data() + part.size() > bytes.data() + bytes.size())
    std::abort();
}

void check_values(std::string_view bytes) {
  if (const auto state = parse_sync_state(bytes)) {
    within(bytes, state->uuid);
    within(bytes, state->cookie);
    if (state->uuid.size() != sync_uuid_size) std::abort();
  }
  if (const auto done = parse_sync_done(bytes)) within(bytes, done->cookie);
  if (const auto info = parse_sync_info(bytes)) {
    within(bytes, info->cookie);
    for (const auto uuid : info->uuids) {
      within(bytes, uuid);
      if (uuid.size() != sync_uuid_size) std::abort();
    }
  }
}

void check_cookies(std::string_view bytes) {
  if (const auto cookie = parse_sync_cookie(bytes)) {
    const auto again = parse_sync_cookie(compose_sync_cookie(cookie->csns));
    if (!again || again->csns != cookie->csns) std::abort();
  }
  if (const auto marks = decode_marks(bytes))
    if (encode_marks(*marks) != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_values(bytes);
  check_cookies(bytes);
  return 0;
}

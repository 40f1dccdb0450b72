// sync_values — the values of the controls and messages of RFC 4533, out of bytes and into bytes.
//
// Pure. What is parsed are views into the bytes given. Everything that is not exactly what RFC 4533
// §2 says is Errc::protocol.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::source {

/// Bytes of a syncUUID, the entryUUID in binary.
inline constexpr std::size_t sync_uuid_size = 16;

/// Sync Request Control (§2.2), without reloadHint: a server that cannot go on from the cookie is
/// to say so rather than send everything.
enum class SyncMode { refresh_only = 1, refresh_and_persist = 3 };
std::string sync_request(SyncMode mode, std::string_view cookie);

/// Sync State Control (§2.3), which comes with each entry.
struct SyncState {
  enum class Kind { present = 0, add = 1, modify = 2, remove = 3 };
  Kind kind = Kind::present;
  std::string_view uuid;
  std::string_view cookie;
};
Result<SyncState> parse_sync_state(std::string_view value);

/// Sync Done Control (§2.4), which comes with the result.
struct SyncDone {
  std::string_view cookie;
  bool refresh_deletes = false;
};
Result<SyncDone> parse_sync_done(std::string_view value);

/// Sync Info Message (§2.5).
struct SyncInfo {
  enum class Kind { new_cookie, refresh_delete, refresh_present, id_set };
  Kind kind = Kind::new_cookie;
  std::string_view cookie;
  bool refresh_done = true;      ///< of refresh_delete and refresh_present
  bool refresh_deletes = false;  ///< of id_set: the entries are gone, not there
  std::vector<std::string_view> uuids;
};
Result<SyncInfo> parse_sync_info(std::string_view value);

}  // namespace rcptsync::source

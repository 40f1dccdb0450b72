// active_directory — what has to be known of Active Directory to follow its changes; no I/O here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::source {

inline constexpr std::size_t guid_size = 16;

/// `(|(objectGUID=\00\01…)…)`
std::string guid_filter(std::span<const std::string> guids);

/// A USN in the 20 digits by which USNs compare bytewise; nothing if it is no USN.
std::optional<std::string> parse_usn(std::string_view decimal);

/// replUpToDateVector ([MS-DRSR] 5.166, UPTODATE_VECTOR_V1_EXT and V2_EXT as stored): to which USN
/// of each origin (32 hexadecimal digits) a naming context is complete. Errc::damaged.
Result<std::map<std::string, std::string>> parse_up_to_date_vector(std::string_view bytes);

/// The naming context in which `base` stands: the longest of those that end it. Nothing: none does,
/// or one of the two is no DN.
std::optional<std::string> context_of(const std::string& base,
                                      const std::vector<std::string>& contexts);

/// On what a filter (RFC 4515) looks, besides the objects' own place: attribute names without
/// options, in lower case, each once.
struct FilterNeeds {
  std::vector<std::string> attributes;
  /// It follows links from object to object, or looks at every attribute: whether an object belongs
  /// can change without a change of the object.
  bool beyond_object = false;
};
FilterNeeds filter_needs(std::string_view filter);

/// What DirSync said of one object, by the attributes that came.
struct Hint {
  bool deleted = false;  ///< isDeleted is TRUE
  bool created = false;  ///< objectClass came: it is new
  bool placed = false;   ///< name or parentGUID came: it is new, was renamed or moved
  void see(std::string_view attribute, std::string_view value);

  /// Its children, if it has any, may have come or gone with it, and DirSync does not name them.
  [[nodiscard]] bool children_in_doubt() const { return placed && !created && !deleted; }
};

/// Where DirSync goes on, for each naming context.
struct DirSyncCookie {
  struct Context {
    std::string dn;
    std::string cookie;  ///< the server's
  };
  bool object_security = false;  ///< with the rights of the account, not of a replica
  std::vector<Context> contexts;
};
std::string to_bytes(const DirSyncCookie& cookie);
/// Nothing for what to_bytes() did not make.
std::optional<DirSyncCookie> parse_dirsync_cookie(std::string_view bytes);

}  // namespace rcptsync::source

// sync_cookie — how far an OpenLDAP server has come, and the marks that we keep of it.
//
// An OpenLDAP cookie is `rid=000,sid=001,csn=CSN;CSN`: one change sequence number (CSN) for each
// server that ever wrote to the database, the provider's or a replica's alike. It is bound neither
// to a search nor to a server. Servers of other makes write other cookies; those are not taken.
// Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::source {

/// Server id (three hexadecimal digits) → CSN, `20260131094501.123456Z#000000#001#000000`. CSNs of
/// one server compare bytewise.
using CsnSet = std::map<std::string, std::string>;

/// Adds a CSN under its server id; false for what is none.
bool add_csn(std::string_view csn, CsnSet& csns);

struct ServerCookie {
  std::string sid;  ///< the server that wrote it; empty: it has no id
  CsnSet csns;      ///< empty: no change was ever recorded
};
/// Errc::foreign for what OpenLDAP does not write.
Result<ServerCookie> parse_sync_cookie(std::string_view cookie);

/// What we send: no server id, so that no server takes us for another one and keeps changes back.
std::string compose_sync_cookie(const CsnSet& csns);

/// What is known of one base.
struct BaseMark {
  std::string base;
  std::string uuid;  ///< entryUUID of the base itself: which database this is; empty: not visible
  CsnSet csns;
};

/// Why a server cannot go on from `since` where it stands at `now`; empty: it can.
std::string cannot_go_on(const BaseMark& since, const BaseMark& now);

/// The oldest CSN of `since` among the servers that have written since; empty: none has.
std::string oldest_changed(const CsnSet& since, const CsnSet& now);

/// Mark::cookie.
std::string encode_marks(const std::vector<BaseMark>& marks);
/// Errc::foreign for bytes that encode_marks() did not write.
Result<std::vector<BaseMark>> decode_marks(std::string_view bytes);

}  // namespace rcptsync::source

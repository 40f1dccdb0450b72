// cookies — where incremental reads go on, newer than the state knows.
//
// A cookie is stored with the objects that it is about, in one transaction. A read that changed
// nothing does not write the state, but its cookie is worth keeping: without it each start would
// hear again what is long known. Those stand in `cookies.json`, and each says which cookie of the
// state it is newer than. If the state has another one by now, because a later transaction wrote it
// or because an older state was restored, the newer cookie is not believed. Losing the file, or
// being killed before it is written, costs a few changes that are told twice.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/digest.hpp"
#include "base/result.hpp"

namespace rcptsync::service {

/// Of one source: nothing changed between the state's cookie and this one.
struct NewerCookie {
  std::string cookie;
  Digest after;  ///< SHA-256 of the cookie in the state
  bool operator==(const NewerCookie&) const = default;
};

/// Source → its newer cookie.
using NewerCookies = std::map<std::string, NewerCookie, std::less<>>;

/// Never fails: a missing, damaged or foreign file holds none.
NewerCookies load_cookies(const std::filesystem::path& state_dir);
Result<> save_cookies(const std::filesystem::path& state_dir, const NewerCookies& cookies);

/// The cookie to go on from: the newer one if it belongs to `stored`, the state's; else that. Of a
/// source whose state has no cookie none is believed.
std::string latest_cookie(const NewerCookies& cookies, const std::string& source,
                          const std::string& stored);

}  // namespace rcptsync::service

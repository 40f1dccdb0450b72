// ldap_cookie — what an LDAP source remembers from one read to the next, and how it tells that a
// server lags behind what was read before. Pure.
//
// A replica that lags answers with success and fewer objects, which looks like removals. So each
// believed read leaves behind which database answered and how far that was (increments.hpp), one
// entry for each server. Every server read later has to have come that far. An entry is forgotten
// when its server is no longer one of the source's, and when it could not be reached for a day:
// what only a lost controller knew never comes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "source/increments.hpp"

namespace rcptsync::source {

struct LdapCookie {
  /// A database, and how far it was when it was read.
  struct Reached {
    std::string server;  ///< URI that it answered under
    std::string origin;
    std::string value;  ///< its own in Progress
  };

  std::vector<Reached> reached;  ///< at most one for each server
  /// Where an incremental read goes on, on which server, read with which settings.
  std::optional<Mark> mark;
  std::string mark_server;
  std::string fingerprint;
  /// As mark_server names the attributes of the settings (ldap_schema.hpp); there with `mark`.
  std::vector<std::string> addresses, fallback;

  std::vector<std::string> lagging;  ///< servers found so, which the next read tries last
  std::int64_t lagging_since = 0;    ///< seconds since 1970; 0: the last read did not lag
  std::string note;                  ///< the last Mark::note, which is told once
};

std::string to_bytes(const LdapCookie& cookie);

/// An empty cookie for what to_bytes() did not make: damage and other versions are no error. Not
/// one byte may differ, so that a damaged disk cannot move the place where an incremental read goes
/// on.
LdapCookie parse_ldap_cookie(std::string_view bytes);

/// `content` as to_bytes() protects it: after its SHA-256. For the tests of what it may hold.
std::string with_sum(std::string_view content);

/// Of everything that decides what a read gives: with other settings an incremental read would mix
/// two contents.
std::string fingerprint(config::SourceType type, const config::LdapSource& settings);

/// How far `server`, which says `mark` of itself, is behind what earlier reads saw, for a person.
/// Empty: it is not, or does not say.
std::string lag(const LdapCookie& before, const std::string& server, const Mark& mark,
                std::int64_t now);

/// The cookie after a read of `server` that saw all it was asked for and is `behind` or not.
/// Servers that are not in `servers` are forgotten.
LdapCookie after_read(const LdapCookie& before, const std::string& server, const Mark& mark,
                      const std::string& fingerprint, bool behind,
                      const std::vector<std::string>& servers, std::int64_t now);

/// True if the last read found that `server` lags: others are tried before it.
bool has_lagged(const LdapCookie& cookie, const std::string& server);

}  // namespace rcptsync::source

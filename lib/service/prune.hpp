// prune — `rcptsyncctl prune-directory`: shows the addresses of excluded domains that stand in the
// directories, and on request takes them out there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <limits>
#include <string>

#include "base/event.hpp"
#include "service/exit_code.hpp"

namespace rcptsync::service {

struct PruneOptions {
  std::filesystem::path config_file;
  bool json = false;
  std::string source;  ///< only this one; empty: every directory
  std::string domain;  ///< only this one of the excluded domains; empty: all
  bool apply = false;
  bool yes = false;  ///< do not ask
  bool include_primary = false;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();  ///< objects to change
  /// Binds as this one instead of the source's account; files as in the configuration: a path, or
  /// credential:NAME.
  std::string user, password_file;
  std::string principal, keytab;  ///< the same with Kerberos
};

/// Each removal is an event of notice priority. exit_ok: listed, or all removed; exit_failed: a
/// directory could not be read, or something was not removed; exit_usage: what `options` ask for
/// cannot be.
ExitCode prune_directory(const PruneOptions& options, std::ostream& out, EventSink& log);

}  // namespace rcptsync::service

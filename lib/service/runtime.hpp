// runtime — what changes with every poll, kept beside the store in `status.json` so that an
// unchanged poll leaves data.mdb alone. Losing it loses the times that `status` shows, and costs
// one full read of each source.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::service {

struct SourceStatus {
  std::string mode;  ///< `full` or `incremental`, of the last read; empty: none yet
  std::string server;
  std::optional<WallTime> last_success;
  std::string last_error;             ///< empty after a success
  bool complete = false;              ///< the last read was
  std::optional<WallTime> last_full;  ///< when the last full read that was committed began
  std::string behind;                 ///< as source::Complete, of the last complete read
  std::string watch;                  ///< as to_string(WatchState); empty: it is not watched
  bool operator==(const SourceStatus&) const = default;
};

struct RuntimeStatus {
  pid_t pid = 0;
  std::string program;  ///< which version of the program and of the address grammar read
  std::optional<WallTime> started;
  std::optional<WallTime> next_poll;
  std::map<std::string, SourceStatus> sources;
  std::set<std::string> pushing;  ///< targets to which a push runs
  std::set<std::string>
      unproven;  ///< targets whose last push was not seen to end, in this life or one before
};

/// Never fails: a missing, damaged or foreign file is an empty status.
RuntimeStatus load_runtime(const std::filesystem::path& state_dir);
Result<> save_runtime(const std::filesystem::path& state_dir, const RuntimeStatus& status);

}  // namespace rcptsync::service

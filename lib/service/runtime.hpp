// runtime — what changes with every poll, kept beside the store in `status.json` so that an
// unchanged poll leaves data.mdb alone. Losing it loses the times that `status` shows, and costs
// one full read of each source.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::service {

struct SourceStatus {
  std::string mode;  ///< `full` or `incremental`, of the last read; empty: none yet
  std::string server;
  std::optional<WallTime> last_success;
  std::string last_error;                ///< empty after a success
  bool complete = false;                 ///< the last read was
  std::optional<WallTime> last_full;     ///< when the last full read that was committed began
  std::string behind;                    ///< as source::Complete, of the last complete read
  std::string watch;                     ///< as to_string(WatchState); empty: it is not watched
  std::optional<WallTime> reading = {};  ///< since when it is being read; nothing: it is not
  std::uint64_t so_far = 0;              ///< objects that this read named
  bool operator==(const SourceStatus&) const = default;
};

/// A push that runs.
struct PushProgress {
  WallTime since{};
  std::uint64_t sent = 0, total = 0;  ///< bytes of tables; total 0: it is not known yet
  bool operator==(const PushProgress&) const = default;
};

struct RuntimeStatus {
  pid_t pid = 0;
  std::string program;  ///< which version of the program and of the address grammar read
  std::optional<WallTime> started;
  std::optional<WallTime> next_poll;
  std::map<std::string, SourceStatus> sources;
  std::set<std::string> pushing;                 ///< targets to which a push runs
  std::map<std::string, PushProgress> progress;  ///< of those
  std::set<std::string>
      unproven;  ///< targets whose last push was not seen to end, in this life or one before
};

/// Never fails: a missing, damaged or foreign file is an empty status.
RuntimeStatus load_runtime(const std::filesystem::path& state_dir);
Result<> save_runtime(const std::filesystem::path& state_dir, const RuntimeStatus& status);

/// Saves on a thread of its own, so that nobody waits for the disk: the first state at once, of
/// those that follow within `interval` the newest alone. A crash loses what was said in the
/// interval before it: times, and which push had just begun. The store then still has an older
/// generation for that target, so it is looked at all the same.
class RuntimeWriter {
 public:
  static constexpr std::chrono::milliseconds default_interval{200};

  /// `failed` is called on the writer's thread, once for each row of failures.
  RuntimeWriter(std::filesystem::path state_dir, std::function<void(const Error&)> failed,
                std::chrono::milliseconds interval = default_interval);
  /// Returns when the last state is written.
  ~RuntimeWriter();
  RuntimeWriter(const RuntimeWriter&) = delete;
  RuntimeWriter& operator=(const RuntimeWriter&) = delete;

  void save(RuntimeStatus status);

 private:
  void run(const std::stop_token& stop);

  const std::filesystem::path state_dir_;
  const std::function<void(const Error&)> failed_;
  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<RuntimeStatus> newest_;  ///< not written yet
  std::jthread thread_;                  ///< the last member: it uses the others
};

}  // namespace rcptsync::service

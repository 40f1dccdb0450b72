// status_report — the state as `rcptsyncctl status` shows it: gathered once, written as text or as
// JSON.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "service/orders.hpp"
#include "service/runtime.hpp"
#include "service/terminal.hpp"
#include "store/store.hpp"
#include "sync/target_machine.hpp"

namespace rcptsync::service {

struct StatusReport {
  struct Source {
    std::string name, type;
    SourceStatus runtime;
    std::uint64_t objects = 0, recipients = 0;
    bool waiting = false;  ///< what it says is gone waits for a full read
  };
  struct Target {
    std::string name, host;
    sync::TargetState state = sync::TargetState::behind;
    store::TargetRecord record;
    std::optional<PushProgress> push = {};  ///< that runs now
  };
  /// Vanished addresses that are still accepted, or answered 450.
  struct Grace {
    std::uint64_t count = 0;
    std::optional<WallTime> next_end;  ///< when the first of them goes
  };
  /// What a rollback's pin keeps out of the table.
  struct Pending {
    std::uint64_t added = 0, removed = 0, changed = 0;
  };
  bool running = false;
  WallTime now{};
  std::uint64_t generation = 0, recipients = 0, pinned = 0;
  std::optional<store::Generation> last;
  std::optional<store::Hold> held;
  std::vector<store::Refusal> refused;
  Grace in_grace;
  std::optional<Pending> pending;  ///< only while pinned
  std::vector<Order> orders;       ///< that wait for the daemon
  std::optional<WallTime> next_poll;
  std::vector<Source> sources;
  std::vector<Target> targets;

  [[nodiscard]] bool failing() const;  ///< a source or an enabled target
  [[nodiscard]] bool holding() const;  ///< the cycle's guard, or a target's first push
};

/// `store` may be null: there is no state yet.
Result<StatusReport> gather_status(const config::Config& config, store::Store* store, WallTime now);
/// The same by one who knows `runtime` better than status.json does: the daemon itself.
Result<StatusReport> gather_status(const config::Config& config, store::Store* store,
                                   const RuntimeStatus& runtime, bool running, WallTime now);

void print_status_text(std::ostream& out, const StatusReport& report, const Terminal& terminal);
void print_status_json(std::ostream& out, const StatusReport& report);

}  // namespace rcptsync::service

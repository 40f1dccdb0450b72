// daemon — the long-running program: schedule, signals, reload, watchdog, orderly stop; and the
// same cycle once.
#pragma once

#include <filesystem>
#include <iosfwd>

#include "base/event.hpp"
#include "journal/journal.hpp"
#include "service/exit_code.hpp"
#include "service/terminal.hpp"

namespace rcptsync::service {

/// Runs until SIGTERM or SIGINT. SIGHUP: configuration again, full read, push to every target.
/// SIGUSR1: poll now.
ExitCode run_daemon(const std::filesystem::path& config_file, EventSink& sink,
                    journal::Notifier& notifier);

/// One whole cycle: every source, the guard, the commit, every target that is not current.
ExitCode run_once(const std::filesystem::path& config_file, EventSink& sink);

struct DryRunOptions {
  bool verbose = false;  ///< every entry, not only totals
  bool json = false;     ///< one JSON document
  Terminal terminal;
};
/// What one cycle would do, on a copy of the state; connects to no target.
ExitCode run_dry(const std::filesystem::path& config_file, const DryRunOptions& options,
                 std::ostream& out, EventSink& sink);

/// Configuration, keys, known_hosts, modes, credentials; no network. Every fault on a line of its
/// own.
ExitCode run_check(const std::filesystem::path& config_file, std::ostream& out);

}  // namespace rcptsync::service

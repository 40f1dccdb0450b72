// command — rcptsyncctl's command line as plain data.
//
// The tool reads it, and the daemon reads the same words again when a member of its group sends
// them, so that both understand the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "service/exit_code.hpp"
#include "service/history.hpp"
#include "service/prune.hpp"
#include "service/terminal.hpp"

namespace rcptsync::service {

struct Command {
  enum class Kind {
    status,
    diff,
    history,
    table,
    why,
    approve,
    reject,
    rollback,
    resync,
    poll,
    push,
    verify,
    target_test,
    target_setup,
    keygen,
    prune
  };
  Kind kind = Kind::status;
  std::filesystem::path config_file = "/etc/rcptsync/rcptsync.yaml";
  bool json = false;
  bool verbose = false;  ///< long lists in full
  Colour colour = Colour::automatic;
  std::optional<std::uint64_t> from, to;  ///< diff
  std::size_t limit = usual_history;      ///< history; 0: all
  std::string target;                     ///< diff, table: may be empty; target_test, …_setup
  bool access = false;                    ///< table
  std::optional<std::uint64_t> at;        ///< table: as that generation had it
  std::string address;                    ///< why
  bool live = false;                      ///< why: ask the sources, too
  std::string digest;                     ///< approve, reject: as it was typed
  std::uint64_t generation = 0;           ///< rollback
  std::vector<std::string> targets;       ///< push, verify; empty: all
  std::filesystem::path key_file;         ///< keygen; empty: where credential:ssh-key is looked up
  std::string key_comment;                ///< keygen
  PruneOptions pruning;                   ///< prune; without configuration file and JSON
};

/// A command that changes something, and is an Order to the daemon.
[[nodiscard]] bool is_order(Command::Kind kind);

/// Either a command, or what to print instead and the exit code: for --help, --version and faults.
struct CommandLine {
  std::optional<Command> command;
  std::string out, errors;
  ExitCode code = exit_ok;
};

/// `words`: those after the name of the program.
CommandLine read_command_line(const std::vector<std::string>& words);

}  // namespace rcptsync::service

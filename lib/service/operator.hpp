// operator — what rcptsyncctl answers, read from the state itself, with or without a running
// daemon.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "base/event.hpp"
#include "service/exit_code.hpp"

namespace rcptsync::service {

struct OperatorOptions {
  std::filesystem::path config_file;
  bool json = false;
};

/// Sources, generation, held change, targets. exit_held while the guard holds something,
/// exit_failed while a source or target fails.
ExitCode print_status(const OperatorOptions& options, std::ostream& out, EventSink& errors);

/// `from` and `to` generations; only `from`: what that generation changed; none: the held change,
/// else the last one.
ExitCode print_diff(const OperatorOptions& options, std::optional<std::uint64_t> from,
                    std::optional<std::uint64_t> to, std::ostream& out, EventSink& errors);

/// The exact bytes that the target gets; without a name the whole table in format postfix.
/// `access`: the access table.
ExitCode print_table(const OperatorOptions& options, const std::string& target, bool access,
                     std::ostream& out, EventSink& errors);

/// Why an address is listed or not. exit_not_listed if the targets do not accept it.
ExitCode print_why(const OperatorOptions& options, const std::string& address, std::ostream& out,
                   EventSink& errors);

}  // namespace rcptsync::service

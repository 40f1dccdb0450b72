// operator — what rcptsyncctl answers: read from the state itself, by the tool or by the daemon for
// a member of its group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <stop_token>
#include <string>

#include "base/event.hpp"
#include "config/config.hpp"
#include "service/exit_code.hpp"
#include "service/find_difference.hpp"
#include "service/why.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

/// What every answer is made of. The tool fills it from the files, the daemon from what it has open
/// when it answers a member of the group; the answer is the same.
struct OperatorContext {
  const config::Config& config;
  store::Store* store = nullptr;  ///< null: there is no state yet
  EventSink& errors;              ///< what goes to standard error
  bool json = false;              ///< one JSON document
  std::size_t width = 80;         ///< columns of the reader's terminal
  bool colour = false;            ///< the reader's terminal has it
  bool verbose = false;           ///< long lists in full
  std::stop_token stop = {};      ///< nobody waits for the answer any more
};

/// Sources, generation, held change, targets. exit_held while the guard holds something,
/// exit_failed while a source or target fails.
ExitCode print_status(const OperatorContext& context, std::ostream& out);

ExitCode print_diff(const OperatorContext& context, const DifferenceQuery& query,
                    std::ostream& out);

/// The generations that are kept, newest first, at most `limit`; 0: all.
ExitCode print_history(const OperatorContext& context, std::size_t limit, std::ostream& out);

struct TableQuery {
  std::string target;   ///< in its format and with its domains; empty: the whole table, `postfix`
  bool access = false;  ///< the access table beside it
  std::optional<std::uint64_t> generation;  ///< as that generation had it; none: the one in force
};
/// The exact bytes.
ExitCode print_table(const OperatorContext& context, const TableQuery& query, std::ostream& out);

/// Why an address is listed or not. exit_not_listed if the targets do not accept it.
ExitCode print_why(const OperatorContext& context, const WhyQuery& query, std::ostream& out);

}  // namespace rcptsync::service

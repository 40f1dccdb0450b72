// examine — the commands that look at targets and change nothing there: verify and target test.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <iosfwd>

#include "service/command.hpp"
#include "service/operator.hpp"

namespace rcptsync::service {

[[nodiscard]] bool needs_targets(Command::Kind kind);

/// Looks at the targets of the command, side by side, and prints what was found. The state is read
/// on `worker`. verify: exit_failed if one does not serve what it should or cannot be asked; target
/// test: if a step failed. What the arguments refer to must live until the end.
boost::asio::awaitable<ExitCode> examine(const Command& command, const OperatorContext& context,
                                         boost::asio::thread_pool& worker, std::ostream& out);

/// The same for a program that has nothing else to do.
ExitCode examine_now(const Command& command, const OperatorContext& context, std::ostream& out);

}  // namespace rcptsync::service

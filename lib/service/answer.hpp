// answer — carries out a command that only reads, for the tool and for the daemon alike.
#pragma once

#include <iosfwd>

#include "service/command.hpp"
#include "service/operator.hpp"

namespace rcptsync::service {

/// status, history, diff, table, why, target setup: the whole answer. Any other kind is a bug.
ExitCode answer(const Command& command, const OperatorContext& context, std::ostream& out);

}  // namespace rcptsync::service

// target_setup — `rcptsyncctl target setup NAME`: the script that makes a host a target.
#pragma once

#include <iosfwd>
#include <string>

#include "service/operator.hpp"

namespace rcptsync::service {

/// Prints config/target/setup.sh behind the settings of that target. The public keys are those of
/// its key_file: read from the private one, else from FILE.pub. Needs no state.
ExitCode print_target_setup(const OperatorContext& context, const std::string& name,
                            std::ostream& out);

/// The target of that name, or an Error that names those there are.
Result<const config::Target*> find_target(const config::Config& config, const std::string& name);

}  // namespace rcptsync::service

// keygen — `rcptsyncctl keygen`: the dedicated key pair with which the daemon logs in on targets.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

#include "base/event.hpp"
#include "service/exit_code.hpp"

namespace rcptsync::service {

/// `file`: of the private key; empty: where credential:ssh-key is looked up. Prints the public line
/// and what to do next.
ExitCode make_key(std::filesystem::path file, std::string comment, bool json, std::ostream& out,
                  EventSink& errors);

}  // namespace rcptsync::service

// tool — rcptsyncctl: who carries a command out, the tool itself or the daemon.
//
// Root and the account that owns the state read it themselves, daemon or not, save orders
// themselves and tell the daemon of them. For anybody else the daemon answers, if the control
// socket lets him in.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace rcptsync::service {

/// `words`: the command line without the program's name. The exit code.
int run_tool(const std::vector<std::string>& words, std::ostream& out);

}  // namespace rcptsync::service

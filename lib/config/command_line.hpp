// command_line — a command of the administrator's as the words that execve(2) gets. No shell reads
// it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::config {

/// Splits at blanks as systemd's ExecStart= does: '…' and "…" keep blanks and may stand anywhere in
/// a word, a backslash takes blank, quote or backslash as it is. Nothing else is special: no
/// variables, no wildcards, no pipes. The first word must be an absolute path. Blanks only give no
/// words. Error: Errc::invalid with what to write instead.
Result<std::vector<std::string>> split_command(std::string_view text);

}  // namespace rcptsync::config

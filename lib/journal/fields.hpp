// fields — an event as the two texts that people and programs search: the journal's fields and the
// end of a line on stderr.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/event.hpp"

namespace rcptsync::journal {

/// `NAME=value` for each field that the event has, MESSAGE first. docs/JOURNAL.md lists them.
std::vector<std::string> journal_fields(const Event& event);

/// `error: message source=corp` with a final newline. RCPTSYNC_ERROR is shown only where the
/// message does not say it already.
std::string stderr_line(const Event& event);

/// Control characters as spaces. Messages arrive escaped; this keeps a forgotten one from adding a
/// line, or to sd_notify(3) an assignment.
std::string one_line(std::string_view text);

}  // namespace rcptsync::journal

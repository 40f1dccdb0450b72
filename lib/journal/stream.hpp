// stream — finds out whether stderr leads to the journal.
#pragma once

#include <sys/stat.h>

#include <string_view>

namespace rcptsync::journal {

/// True if `value`, the text of JOURNAL_STREAM (systemd.exec(5)), is the device and inode of the
/// open file that `stat` describes: `DEVICE:INODE`, both decimal.
bool names_file(std::string_view value, const struct stat& stat);

/// True if stderr is the journal's stream. A set variable alone proves nothing: a service may start
/// a program with another stderr and the same environment.
bool stderr_is_journal();

}  // namespace rcptsync::journal

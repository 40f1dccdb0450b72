// exchange55 — the source type exchange55: a directory export of Exchange 5.5 (ADMIN.EXE).
//
// A header, then a row for each object. Columns stand in any order; several values of one field are
// separated by `%`.
#pragma once

#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/file_source.hpp"

namespace rcptsync::source {

Result<> parse_exchange55(std::string bytes, const config::FileSource& settings,
                          Findings& findings);

/// What the source `settings` reads. `settings` is copied.
FileSourcePlan plan_exchange55(const config::FileSource& settings);

}  // namespace rcptsync::source

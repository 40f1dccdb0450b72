// alert_file — what was told and what waits, in `alerts.json` of the state folder, so that a
// restart tells nothing twice and loses nothing. Losing the file costs one repetition of what holds
// then.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "service/alerts.hpp"

namespace rcptsync::service {

/// Nothing was told yet if the file is missing. Error: Errc::damaged if it is there and is not what
/// was written; it counts as missing then.
Result<AlertMemory> load_alerts(const std::filesystem::path& state_dir);
Result<> save_alerts(const std::filesystem::path& state_dir, const AlertMemory& memory);

}  // namespace rcptsync::service

// metrics — how things are in Prometheus' text format, for `metrics_file`. docs/ALERTS.md lists
// them.
#pragma once

#include <string>

#include "service/alerts.hpp"
#include "service/status_report.hpp"

namespace rcptsync::service {

/// Everything in one piece, ended by a newline. `memory`: its failing sources; `started`: since
/// when this daemon runs.
std::string metrics_text(const StatusReport& report, const AlertMemory& memory, WallTime started);

}  // namespace rcptsync::service

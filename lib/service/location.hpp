// location — what a target's record is about: where its table stands, and what decides its bytes.
//
// A target that moved to another host or file, or that gets other domains, is a new one under an
// old name: nothing that is remembered of the old one is believed of it, and its next table is
// judged against what it holds.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "config/config.hpp"

namespace rcptsync::service {

inline std::string location_of(const config::Target& target) {
  return fmt::format("{}:{} {} {} {} {} {}", target.host, target.port, target.path,
                     config::to_string(target.format), config::to_string(target.map_type),
                     target.postfix_config, fmt::join(target.domains, ","));
}

}  // namespace rcptsync::service

// first_push — judges a target's first table from this daemon against the table that the target
// already holds, so that a lost state, a new host or a first day cannot empty a gateway.
#pragma once

#include <string_view>

#include "config/config.hpp"
#include "sync/guard.hpp"

namespace rcptsync::service {

struct FirstPush {
  sync::GuardVerdict verdict;
  std::uint64_t removed = 0;  ///< addresses that the target accepts now and would not any more
  std::uint64_t present = 0;  ///< addresses that it accepts now
};

/// Both tables in the target's format. An address that a wildcard of the new table covers is not
/// lost.
FirstPush judge_first_push(const config::Config& config, config::Format format,
                           std::string_view present, std::string_view next);

}  // namespace rcptsync::service

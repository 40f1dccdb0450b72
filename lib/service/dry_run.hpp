// dry_run — what one cycle would do, for a person who wants to know before it does.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "service/commit.hpp"
#include "service/difference.hpp"
#include "service/terminal.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct DryRun {
  struct Source {
    std::string name;
    std::uint64_t objects = 0, changed = 0, gone = 0;
    std::string error;  ///< not empty: it was not read
  };
  std::vector<Source> sources;
  CycleReport report;
  std::optional<Difference> change;  ///< nothing: the table would stay as it is
  std::optional<Difference> held;
};

/// Adds what the cycle of `run.report` left in the store, which is a copy.
Result<> add_differences(store::View& view, DryRun& run);

void print_dry_run_text(std::ostream& out, const DryRun& run, const Terminal& terminal,
                        bool verbose);
/// The keys are documented in rcptsyncd(8).
void print_dry_run_json(std::ostream& out, const DryRun& run);

}  // namespace rcptsync::service

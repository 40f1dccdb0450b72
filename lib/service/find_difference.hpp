// find_difference — which change a person means, and what it consists of, from one view of the
// state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "service/difference.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct DifferenceQuery {
  /// One number: what that generation changed. Two, in any order: from the first to the second.
  /// None: what is held; else, under a rollback's pin, what is pending; else the last generation.
  std::optional<std::uint64_t> from, to;
  std::string target;  ///< not empty: what its first table, which is held, would take from it
};

/// Errc::not_found: there is no such generation, target or change, with what there is instead.
Result<Difference> find_difference(store::View& view, const DifferenceQuery& query);

/// What one generation changed.
Result<Difference> generation_difference(store::View& view, std::uint64_t number);

/// What the guard holds, or the whole first table if that is held.
Result<Difference> held_difference(store::View& view, const store::Hold& hold);

}  // namespace rcptsync::service

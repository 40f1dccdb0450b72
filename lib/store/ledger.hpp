// ledger — the past, from the changes that each generation keeps. Pure over a View.
//
// Memory is proportional to the changes in between, not to the table.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "store/store.hpp"

namespace rcptsync::store {

/// The rows of a generation in bytewise order: the table in force with every later change undone.
/// `visit` returns false to stop. Errc::not_found: that generation is not kept.
Result<> each_row_of(
    View& view, std::uint64_t generation,
    const std::function<bool(std::string_view address, std::string_view reject)>& visit);

/// What makes the table of generation `to` of that of generation `from`, in either order, by
/// address. What came and went in between is not in it. Source and class are those that the
/// change next to `to` bears. Errc::not_found: one of them is not kept.
Result<std::vector<Change>> net_changes(View& view, std::uint64_t from, std::uint64_t to);

}  // namespace rcptsync::store

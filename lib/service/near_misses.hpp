// near_misses — accepted addresses that somebody who typed another one may have meant.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "service/why.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

inline constexpr std::size_t most_near_misses = 5;

/// For a canonical address: the same local part in a domain that differs in one character; a local
/// part that differs in one character (inserted, deleted, replaced, or two exchanged) in the same
/// domain; the same local part in any other domain. At most five, in this order. Looks up some
/// thousand rows and no more, however large the table is.
Result<std::vector<WhyReport::NearMiss>> near_misses(store::View& view,
                                                     const config::Recipients& recipients,
                                                     std::string_view address);

/// True if one character inserted, deleted or replaced, or two neighbours exchanged, make one of
/// the other (optimal string alignment distance 1). Of bytes.
bool one_edit_apart(std::string_view a, std::string_view b);

}  // namespace rcptsync::service

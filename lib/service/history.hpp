// history — the generations that are kept, as a person and a program read them.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <vector>

#include "base/result.hpp"
#include "service/terminal.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

inline constexpr std::size_t usual_history = 20;

/// At most `limit` generations, newest first, each with its digest. 0: all.
Result<std::vector<store::Generation>> gather_history(store::View& view, std::size_t limit);

void print_history_text(std::ostream& out, const std::vector<store::Generation>& generations,
                        const Terminal& terminal);
void print_history_json(std::ostream& out, const std::vector<store::Generation>& generations);

}  // namespace rcptsync::service

// difference — a change as a person reads it: totals for each domain first, then the entries.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "service/commit.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

/// Totals for each domain: `example.com  +3 -1 ~0`.
void print_domains(std::ostream& out, const std::vector<store::Change>& changes);

/// The text that stands in the line of a change: what the row says afterwards, or said before it
/// was removed.
const std::string& text_of(const store::Change& change);

/// One entry for each line: `+ address`, `- address`, `~ address 550 text`.
void print_changes(std::ostream& out, const std::vector<store::Change>& changes);

/// What a cycle did or would do, and what the guard says. `verbose`: every entry.
void print_difference(std::ostream& out, const CycleReport& report, bool verbose);

}  // namespace rcptsync::service

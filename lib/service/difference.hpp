// difference — a change as a person reads it: the totals first, what loses most on top, then the
// entries.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "service/terminal.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct Difference {
  enum class What {
    generation,   ///< what one generation changed
    between,      ///< from one generation to another
    held,         ///< what the guard holds
    first_table,  ///< what a target's own table would lose
    pending,      ///< what the directory says and a rollback's pin keeps out
    cycle         ///< what a cycle would change
  };
  struct Entry {
    store::Change change;
    bool by_configuration = false;  ///< not the directory's word, but a change of the configuration
  };
  /// How many addresses are accepted now, for comparison.
  struct InForce {
    std::uint64_t all = 0;
    std::map<std::string, std::uint64_t, std::less<>> domains, sources, classes;
  };

  What what = What::generation;
  std::string title;
  Digest digest;                     ///< of the generation or of the hold; zero: it has none
  std::uint64_t from = 0, to = 0;    ///< generations; generation: `to` alone
  std::vector<std::string> reasons;  ///< held: why
  std::vector<Entry> entries;        ///< sorted by address
  /// False: where the addresses came from is not known, they are somebody else's.
  bool attributed = true;
  std::map<store::SourceId, std::string> sources;  ///< names; `configuration` for 0
  std::optional<InForce> in_force;
};

std::string_view to_string(Difference::What what);  ///< `generation`, `between`, `held`, …

struct DifferenceTotal {
  std::string name;
  std::uint64_t added = 0, removed = 0, changed = 0;
  std::optional<std::uint64_t> in_force;
};
struct DifferenceTotals {
  DifferenceTotal all;
  std::uint64_t by_configuration = 0;                      ///< of all
  std::vector<DifferenceTotal> domains, sources, classes;  ///< those that lose most first
};
DifferenceTotals totals_of(const Difference& difference);

/// `3 added, 1 removed, 0 changed`.
std::string headline(const DifferenceTotal& total);

/// The totals in columns. Without `verbose` long lists end with `and N more`.
void print_totals(std::ostream& out, const DifferenceTotals& totals, const Terminal& terminal,
                  bool verbose);

/// One entry for each line: `- address`, `~ address 550 text`, `+ address`, in this order. Without
/// `verbose` long lists end with `and N more`; with it each says what stood there before, and
/// whether the configuration did it.
void print_entries(std::ostream& out, const Difference& difference, const Terminal& terminal,
                   bool verbose);

/// All of it.
void print_difference_text(std::ostream& out, const Difference& difference,
                           const Terminal& terminal, bool verbose);

/// The keys are documented in rcptsyncctl(1).
nlohmann::json difference_json(const Difference& difference);

}  // namespace rcptsync::service

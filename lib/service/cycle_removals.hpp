// cycle_removals — the addresses that are accepted and that their owners do not accept any more:
// collects them, shows them to the guard, and says which of them go.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "service/cycle_marks.hpp"
#include "service/cycle_rows.hpp"
#include "service/cycle_sources.hpp"
#include "store/store.hpp"
#include "sync/guard.hpp"

namespace rcptsync::service {

struct Candidate {
  enum class Kind {
    approved,  ///< an operator let it go: no rule is asked
    expired,   ///< its grace is over: it waits for ill sources only
    ordinary,
  };
  std::string address;
  std::string reject;  ///< the text that is to replace it; empty: it is to go
  store::RecipientRecord before;
  Kind kind = Kind::ordinary;
  bool by_configuration = false;
};

/// How it stands with everything else that the guard judges by.
struct Circumstances {
  std::uint64_t accepted = 0;              ///< by the table in force
  std::int64_t supplied = 0;               ///< by sources, all candidates left out
  std::vector<std::string> canaries = {};  ///< missing: lost, or absent from a first table
  bool first_table = false;
  std::array<std::uint64_t, store::class_count> classes{};  ///< accepted rows
  const CycleMarks& marks;
  const CycleRows& rows;
};

class CycleRemovals {
 public:
  void add(Candidate candidate) { candidates_.push_back(std::move(candidate)); }
  [[nodiscard]] bool empty() const { return candidates_.empty(); }

  /// Sorts them by address and asks the guard. The verdict is about those that are not approved.
  Result<sync::GuardVerdict> judge(store::View& view, const config::Guard& settings,
                                   const CycleSources& sources, const Circumstances& circumstances);

  /// After judge(): by address.
  [[nodiscard]] const std::vector<Candidate>& all() const { return candidates_; }
  /// True if the guard lets it go, or an operator.
  [[nodiscard]] static bool goes(const Candidate& candidate, const sync::GuardVerdict& verdict);
  /// Of the domains that lose something: in force and candidates.
  [[nodiscard]] const std::vector<sync::Part>& domains() const { return domains_; }

 private:
  Result<> count(store::View& view, const CycleSources& sources,
                 const Circumstances& circumstances);
  [[nodiscard]] bool is_candidate(std::string_view address) const;

  std::vector<Candidate> candidates_;
  std::vector<sync::Part> domains_, sources_, classes_;
};

}  // namespace rcptsync::service

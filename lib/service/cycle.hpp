// cycle — one cycle inside its transaction, step by step. What it is made of stands in parts of its
// own (commit.hpp names them); here is what needs several of them.
//
//   commit.cpp            the story, from opening to what is reported
//   cycle_compare.cpp     what owners want against what is in force, one address after the other
//   cycle_decide.cpp      the guard's word, what goes and what is held
//   cycle_pinned.cpp      a table that follows nobody
//   cycle_generation.cpp  the new generation in the ledger
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "base/result.hpp"
#include "service/commit.hpp"
#include "service/cycle_marks.hpp"
#include "service/cycle_orders.hpp"
#include "service/cycle_removals.hpp"
#include "service/cycle_rows.hpp"
#include "service/cycle_sources.hpp"
#include "service/ownership.hpp"
#include "service/wanted.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

// What a target answers while an address is in grace and `removal.answer` is `defer`.
inline constexpr std::string_view deferral =
    "450 4.2.1 This recipient is being removed; try again later";

class Cycle {
 public:
  Cycle(store::Transaction& transaction, const CycleInput& input, bool in_full)
      : transaction_(transaction),
        input_(input),
        in_full_(in_full),
        ownership_(transaction, *input.rules),
        sources_(transaction, input, ownership_),
        marks_(transaction),
        orders_(input.orders) {}

  /// True if there is something to commit.
  Result<bool> run();

  CycleReport report;

 private:
  /// Why an address is looked at: its owners changed, because of the configuration or of data.
  struct Reason {
    bool configuration = false;
    bool data = false;
    [[nodiscard]] bool only_configuration() const { return configuration && !data; }
  };
  using Visit = std::function<Result<>(std::string_view address, const Wanted& want, Reason why)>;

  Result<> open();
  Result<> complete_generation();
  Result<> close();
  Result<> tell();

  // ---- cycle_compare.cpp

  /// Every address whose owners changed, and those of `others`, each once.
  Result<> each_touched(const std::set<std::string, std::less<>>& others, const Visit& visit);
  /// Before the first table everything that anybody owns is new, not only what this cycle touched.
  Result<> each_owned(const Visit& visit);
  Result<> compare_and_decide();
  /// What is judged anew in every cycle, whatever its owners are.
  std::set<std::string, std::less<>> untouched() const;
  /// The address must stay where it is.
  Result<> compare(std::string_view address, const Wanted& want, Reason why);
  Result<> accept(std::string_view address, const Wanted& want, const CycleRows::Before& row,
                  Reason why);
  /// The row accepts, and its owners do not.
  Result<> take_away(std::string_view address, const Wanted& want,
                     const store::RecipientRecord& row, Reason why);
  /// Nobody accepts the address, and the table does not either.
  Result<> compare_rejected(std::string_view address, const Wanted& want,
                            const CycleRows::Before& row, Reason why);
  /// The same row with another text, and no source that supplies it any more.
  static Wanted as_it_was(const store::RecipientRecord& row, std::string_view reject);
  Result<> stay(std::string_view address, const store::RecipientRecord& row);
  Result<> defer(std::string_view address, const store::RecipientRecord& row);
  [[nodiscard]] bool defers() const;
  [[nodiscard]] bool over(WallTime gone) const;

  // ---- cycle_decide.cpp

  Result<> decide();
  Result<> wait_for_all_sources();
  Result<> let_go(const Candidate& candidate);
  /// Canaries that no source supplies after this change: for a first table all of them, later those
  /// that the table in force accepts, without those that an operator or the guard let go before.
  Result<std::vector<std::string>> canaries_missing();
  [[nodiscard]] std::string joined() const;
  Result<> hold(const CycleMarks::HeldRecords& held, std::optional<store::Hold> next);

  // ---- cycle_pinned.cpp

  Result<> follow_pinned();
  Result<> follow_pinned_row(std::string_view address, const Wanted& want);
  /// What the row is to be: as the rollback or the pin says. Who supplies it is no secret of
  /// theirs.
  [[nodiscard]] std::optional<Wanted> pinned_row(std::string_view address,
                                                 const CycleRows::Before& row,
                                                 const Wanted& want) const;

  // ---- cycle_generation.cpp

  [[nodiscard]] store::Cause cause(bool first) const;
  Result<> put_generation(bool first);
  Result<> trim_history();

  store::Transaction& transaction_;
  const CycleInput& input_;
  bool in_full_;
  bool wrote_ = false;
  store::Meta meta_before_, meta_;
  Arena texts_;
  Ownership ownership_;
  CycleSources sources_;
  CycleMarks marks_;
  CycleOrders orders_;
  CycleRemovals removals_;
  CycleRows rows_;
  std::uint64_t approved_ = 0;
};

}  // namespace rcptsync::service

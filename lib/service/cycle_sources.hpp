// cycle_sources — what the sources said in one cycle: carries it into objects and owners, keeps
// their records, and knows which of them are not well, so that removals have to wait.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "service/commit.hpp"
#include "service/ownership.hpp"
#include "store/store.hpp"
#include "sync/guard.hpp"

namespace rcptsync::service {

class CycleSources {
 public:
  CycleSources(store::Transaction& transaction, const CycleInput& input, Ownership& ownership)
      : transaction_(transaction), input_(input), ownership_(ownership) {}

  /// Takes over the rules and every source's read. `meta`: as the cycle found it.
  Result<> take(const store::Meta& meta);

  /// Every source was read completely, the last time too, and nothing of it has to be confirmed.
  [[nodiscard]] bool well() const {
    return unread_.empty() && unhealthy_.empty() && unconfirmed_.empty() && behind_.empty();
  }
  /// The guard's view of those that are not.
  void show(sync::GuardInput& guard) const;

  /// Of a source that is or was configured. Nothing: it is the configuration itself.
  [[nodiscard]] const store::SourceRecord* find(store::SourceId id) const;

  /// Writes the records that changed. `accepted`: by how much the rows of each source changed.
  /// `any_in_grace`: a row that is answered 450 may be accepted again as its source's.
  Result<> close(const std::map<store::SourceId, std::int64_t>& accepted, bool any_in_grace);
  [[nodiscard]] bool wrote() const { return wrote_; }
  /// After close(), as in the input.
  [[nodiscard]] std::vector<SourceState> states() const;

 private:
  Result<> take_source(const SourceInput& input, bool rules_changed, bool first);
  Result<> take_read(store::SourceRecord& record, const SourceInput& input, bool configuration);
  store::SourceRecord record_of(const SourceInput& input) const;
  [[nodiscard]] const store::SourceRecord* stored(std::string_view name) const;

  store::Transaction& transaction_;
  const CycleInput& input_;
  Ownership& ownership_;
  std::vector<store::SourceRecord> stored_;
  std::vector<store::SourceRecord> records_;  ///< those of the input first, in its order
  std::vector<std::string> unread_, unhealthy_, unconfirmed_;
  std::vector<sync::BehindSource> behind_;
  bool wrote_ = false;
};

}  // namespace rcptsync::service

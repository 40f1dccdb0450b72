// ownership — carries object changes into the store: records, who owns which address, and which
// addresses that touches.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "recipient/rules.hpp"
#include "service/commit.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// Collects the ownership changes of one transaction, then writes them in key order, which LMDB
/// loads fastest.
class Ownership {
 public:
  Ownership(store::Transaction& transaction, const recipient::Rules& rules)
      : transaction_(transaction), rules_(rules) {}

  /// The object changes of one complete read. `fresh`: the store holds no object of this source
  /// yet. `lost` becomes true if any address loses an owner by them.
  Result<> apply(store::SourceRecord& source, const sync::ObjectChanges& changes, bool fresh,
                 bool& lost);

  /// Judges every stored object of a source again: the rules are not those that it was judged by.
  Result<> judge_again(store::SourceId source);

  /// `always` and `static` become the objects of source 0.
  Result<> apply_configuration();

  /// Forgets all objects of a source that is no longer configured, and the source.
  Result<> forget(const store::SourceRecord& source);

  /// Writes the owners. Calls `visit` with every address whose owners changed, in order, and who
  /// owns it now.
  Result<> finish(const std::function<Result<>(const std::string& address,
                                               const std::vector<store::Owner>&)>& visit);

  /// By how much finish() changed the number of distinct addresses that the source owns.
  [[nodiscard]] std::int64_t recipients_gained(store::SourceId source) const;

  /// Every address that any object of the source owns, appended.
  Result<> collect(store::SourceId source, std::vector<std::string>& addresses);

  [[nodiscard]] bool wrote() const { return wrote_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::vector<DroppedValue> take_sample() { return std::move(sample_); }

 private:
  struct OwnerChange {
    std::string address;
    store::SourceId source = 0;
    std::string key;
    std::string reject;
    bool erase = false;
  };

  void replace_owners(store::SourceId source, std::string_view key,
                      const store::ObjectRecord* before, const store::ObjectRecord* after);
  void note_dropped(const std::string& source, const store::ObjectRecord& record,
                    const store::ObjectRecord* before);
  Result<> erase_all(store::SourceId source);

  store::Transaction& transaction_;
  const recipient::Rules& rules_;
  std::vector<OwnerChange> changes_;
  std::map<store::SourceId, std::int64_t> gained_;
  bool wrote_ = false;
  bool lost_ = false;
  std::uint64_t dropped_ = 0;
  std::vector<DroppedValue> sample_;
};

}  // namespace rcptsync::service

// sync_refresh — what a refresh (RFC 4533 §3.3) says in the end of the objects that it names.
//
// A server tells of what is gone in one of two ways: it names the deleted entries (delete phase),
// or it names all that are still there (present phase). What does not fit together is
// Errc::foreign: the caller reads in full. Several bases are refreshed one after the other, and an
// entry that moved from one to the other is gone in the first and there in the second: it is there.
// Pure.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result.hpp"
#include "source/sync_values.hpp"

namespace rcptsync::source {

class SyncRefresh {
 public:
  using Key = std::array<char, sync_uuid_size>;

  /// A base begins.
  void begin();
  /// The entry was sent.
  void sent(std::string_view uuid);
  /// The entry is there, unchanged. `known`: we know it. OpenLDAP names new entries here too and
  /// sends them afterwards.
  Result<> present(std::string_view uuid, bool known);
  /// The entry is gone from this base.
  Result<> gone(std::string_view uuid);
  /// The base ended; `deletes` as in the sync done control.
  Result<> end(bool deletes);

  /// What was not named in any base is gone.
  [[nodiscard]] bool unseen_gone() const { return phase_ == Phase::present; }
  /// What is gone from one base and was not sent in another.
  [[nodiscard]] std::vector<Key> removals() const;

 private:
  enum class Phase { unknown, present, remove };
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string_view>{}({key.data(), key.size()});
    }
  };
  using Keys = std::unordered_set<Key, Hash>;

  Phase phase_ = Phase::unknown;  ///< of all bases that have ended
  Keys there_;                    ///< sent, in any base
  Keys gone_;                     ///< named as gone, in any base
  // Of the base that is being refreshed.
  Keys unknown_;
  bool presents_ = false;
  bool deletes_ = false;
};

}  // namespace rcptsync::source

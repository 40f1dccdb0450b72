// reader — every configured source with what is known of its objects: reads it, and learns what was
// committed.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "service/commit.hpp"
#include "service/cookies.hpp"
#include "source/source.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// Makes a source as it is configured; tests bring their own.
using MakeSource =
    std::function<Result<std::unique_ptr<source::Source>>(const config::Source& source)>;

struct ReadOrder {
  source::ReadKind kind = source::ReadKind::full;
  /// After a full read: compare what it changes with what an incremental read would have told.
  bool audit = false;
};

/// One source's part in a cycle.
struct SourceRead {
  Result<source::Complete> verdict = Error{};
  sync::ObjectChanges changes;      ///< meaningful only with a complete verdict
  std::vector<std::string> missed;  ///< keys that the audit found: increments did not tell of them
};

class Reader {
 public:
  /// Makes the sources of a configuration and loads the hashes of their objects from the store. A
  /// source that cannot be made (it says why) stays in the list and fails at every read.
  static Result<std::unique_ptr<Reader>> open(const config::Config& config, store::Store& store,
                                              const NewerCookies& cookies = {},
                                              const MakeSource& make = source::create_source);

  [[nodiscard]] std::size_t size() const { return sources_.size(); }
  [[nodiscard]] const config::Source& source(std::size_t index) const {
    return sources_[index].settings;
  }
  /// Null if it could not be made.
  [[nodiscard]] std::shared_ptr<source::Source> made(std::size_t index) const;
  /// The id in the store; 0: it has none yet.
  [[nodiscard]] store::SourceId id(std::size_t index) const { return sources_[index].id; }
  [[nodiscard]] bool has_cookie(std::size_t index) const { return !sources_[index].cookie.empty(); }
  /// What its reads say is gone waits for a full read.
  [[nodiscard]] bool unconfirmed(std::size_t index) const { return sources_[index].unconfirmed; }
  /// Where a watch of the source begins.
  [[nodiscard]] source::WatchRequest watch_request(std::size_t index) const;

  /// Blocks. Different indexes may be read at the same time from different threads.
  SourceRead read(std::size_t index, const ReadOrder& order, const std::stop_token& stop);
  /// Objects that the read which runs, or the last one, named so far. From any thread.
  [[nodiscard]] std::uint64_t so_far(std::size_t index) const { return *sources_[index].so_far; }

  /// The source's part in a cycle that read it, or (null) that did not. `read` outlives it. One
  /// that was not read since open() has not failed: such a cycle only adds.
  [[nodiscard]] SourceInput input(std::size_t index, const SourceRead* read) const;

  /// The warnings of a complete read that the one before did not have.
  std::vector<std::string> new_warnings(std::size_t index, const SourceRead& read);

  /// The read failed.
  void failed(std::size_t index) { sources_[index].failed = true; }
  /// The changes of that read are in the store now, and this is what that knows of the source.
  void committed(std::size_t index, const SourceRead& read, const SourceState& state);

  /// The cookies that are newer than the store's.
  [[nodiscard]] NewerCookies newer_cookies() const;

 private:
  struct Entry {
    config::Source settings;
    Result<std::shared_ptr<source::Source>> source = Error{};
    store::SourceId id = 0;
    sync::KnownObjects known;
    std::string server;
    std::string cookie;         ///< of the last complete read
    std::string stored_cookie;  ///< as it stands in the store
    bool unconfirmed = false;
    bool failed = false;  ///< the last read since open(), if there was one
    std::string behind;   ///< as that said
    std::set<std::string> warnings;
    std::shared_ptr<std::atomic<std::uint64_t>> so_far =
        std::make_shared<std::atomic<std::uint64_t>>(0);
  };

  explicit Reader(std::uint64_t hash_seed) : hasher_(hash_seed) {}
  void audit(const Entry& entry, SourceRead& read, const std::stop_token& stop) const;

  sync::ObjectHasher hasher_;
  std::vector<Entry> sources_;
};

}  // namespace rcptsync::service

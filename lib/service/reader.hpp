// reader — every configured source with what is known of its objects: reads it, and learns what was
// committed.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/source.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// One source's part in a cycle.
struct SourceRead {
  Result<source::Complete> verdict = Error{};
  sync::ObjectChanges changes;  ///< meaningful only with a complete verdict
};

class Reader {
 public:
  /// Makes the sources of a configuration and loads the hashes of their objects from the store. A
  /// source that cannot be made (it says why) stays in the list and fails at every read.
  static Result<std::unique_ptr<Reader>> open(const config::Config& config, store::Store& store);

  [[nodiscard]] std::size_t size() const { return sources_.size(); }
  [[nodiscard]] const config::Source& source(std::size_t index) const {
    return sources_[index].settings;
  }

  /// Blocks. Different indexes may be read at the same time from different threads.
  SourceRead read(std::size_t index, source::ReadKind kind, std::stop_token stop);

  /// The changes of that read are in the store now.
  void committed(std::size_t index, const SourceRead& read);

 private:
  struct Entry {
    config::Source settings;
    Result<std::unique_ptr<source::Source>> source = Error{};
    sync::KnownObjects known;
    std::string server;
    std::string cookie;
  };

  explicit Reader(std::uint64_t hash_seed) : hasher_(hash_seed) {}

  sync::ObjectHasher hasher_;
  std::vector<Entry> sources_;
};

}  // namespace rcptsync::service

// audit — whether the increments of a source told all that a full read then found.
//
// After a full read that found differences, one more incremental read is made from where the last
// one ended. What it names had only just changed. What it does not name was missed by the
// increments, before or now, and a person should know: until the full read, addresses were wrong.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "recipient/object.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service {

/// Takes an incremental read, and remembers what it says of the objects that a full read found
/// different. Both arguments outlive it and do not change meanwhile.
class Audit final : public recipient::ObjectSink {
 public:
  /// `known`: before the full read. `found`: what that changes.
  Audit(const sync::KnownObjects& known, const sync::ObjectChanges& found);

  void upsert(const recipient::Object& object) override { name(object.key); }
  bool present(std::string_view key) override;
  void remove(std::string_view key) override { name(key); }
  void restart() override;

  /// Keys, in order, of what was found and not told. `unseen_gone`: as the incremental read ended.
  /// `deletions_unseen`: as the full read ended; nobody expected to be told what is gone then.
  [[nodiscard]] std::vector<std::string> missed(bool unseen_gone,
                                                bool deletions_unseen = false) const;

 private:
  void name(std::string_view key);

  const sync::KnownObjects& known_;
  std::set<std::string, std::less<>> found_;
  std::set<std::string, std::less<>> gone_;     ///< of those, what is not there any more
  std::set<std::string, std::less<>> named_;    ///< as changed or gone
  std::set<std::string, std::less<>> present_;  ///< as being there, unchanged
};

}  // namespace rcptsync::service

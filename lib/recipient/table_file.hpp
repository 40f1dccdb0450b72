// table_file — one file of a table while it is written: lines in order, each address of an
// internationalised domain in both forms, the digest computed on the way.
//
// A group is the lines with the same local part. They stand together in bytewise order, so a line
// in another form is at home in its own group, and one group is all that ever needs sorting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/digest.hpp"
#include "recipient/table.hpp"

namespace rcptsync::recipient {

/// The domains, folded as Postfix folds its keys, under which one local part is found.
using Keys = std::set<std::string, std::less<>>;

class TableFile {
 public:
  /// `digest_only`: the bytes are forgotten as soon as they are hashed, and finish() answers none.
  explicit TableFile(bool digest_only = false) : digest_only_(digest_only) {}

  /// Appends a line: address, and after a tab the value if there is one. Addresses come in bytewise
  /// order, each once, with nothing in them that could end a line.
  void add(std::string_view address, std::string_view value);

  /// True if the present group has a line that would stand there in a second form.
  [[nodiscard]] bool has_second_forms() const { return !second_forms_.empty(); }

  /// Ends the group: merges the second forms into it. With `taken`, the reader of the file folds
  /// keys: no line stays that would be found under a key that is taken already, and the keys of
  /// those that stay are added. Answers the addresses whose first form could not stay.
  std::vector<std::string> end_group(Keys* taken);

  /// The same for a group without second forms, whose lines may all stay.
  void end_plain_group();

  /// The whole file, after the last group. The object is used up.
  File finish();

 private:
  /// A line with the U-label domain.
  struct SecondForm {
    std::string domain;
    std::string line;
  };

  void hash_up_to(std::size_t end);
  const std::string& unicode_domain_of(std::string_view domain);

  bool digest_only_;
  File file_;
  Sha256 hash_;
  std::size_t hashed_ = 0;
  std::size_t group_ = 0;  ///< where the first line of the present group begins
  std::vector<SecondForm> second_forms_;
  std::unordered_map<std::string, std::string> unicode_domains_;  ///< by their A-label form
};

}  // namespace rcptsync::recipient

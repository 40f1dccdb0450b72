// findings — what a parser found in a file, gathered before a sink hears of it.
//
// A parser adds values in the order of the file; those with one key become one object, so that a
// name that stands twice is neither lost nor doubled. Nothing is told before the whole file was
// understood.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "recipient/object.hpp"

namespace rcptsync::source {

/// Where something stands and why the file is not what it should be: `line 7: what`.
template <class... Arguments>
Error broken(std::uint32_t line, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  return {Errc::damaged, fmt::format("line {}: {}", line,
                                     fmt::format(text, std::forward<Arguments>(arguments)...))};
}

struct FoundValue {
  std::string_view key;  ///< any length; what is longer than a key may be is replaced by its digest
  recipient::ObjectClass kind = recipient::ObjectClass::entry;
  std::string_view attribute;  ///< outlives the findings: a literal
  std::string_view text;
  std::string_view reject;
  std::uint32_t line = 0;
};

class Findings {
 public:
  Findings() = default;
  Findings(const Findings&) = delete;
  Findings& operator=(const Findings&) = delete;

  /// Copies what it is given, but for the attribute. True if the text is an address.
  bool add(const FoundValue& value);

  /// For the log. The first twenty are kept, the rest is counted.
  void warn(std::uint32_t line, std::string_view what);

  /// How many values were added, and how many of them are addresses.
  [[nodiscard]] std::uint64_t values() const { return found_.size(); }
  [[nodiscard]] std::uint64_t addresses() const { return addresses_; }

  /// Errc::damaged if nothing was found, unless that `may_be_empty`, and if nothing of it is an
  /// address: then it is another file.
  [[nodiscard]] Result<> plausible(bool may_be_empty) const;

  /// One object for each key, sorted by key; `file` stands in the origins. How many.
  std::uint64_t tell(std::string_view file, recipient::ObjectSink& sink);

  /// The warnings, each with `file`.
  [[nodiscard]] std::vector<std::string> warnings(std::string_view file) const;

 private:
  std::string_view keep(std::string_view bytes);

  std::vector<FoundValue> found_;
  std::deque<std::string> chunks_;
  std::uint64_t addresses_ = 0;
  std::vector<std::string> warnings_;
  std::uint64_t more_warnings_ = 0;
};

/// `prefix` and the text in lower case (ASCII): another case is the same line.
std::string folded_key(std::string_view prefix, std::string_view text);

}  // namespace rcptsync::source

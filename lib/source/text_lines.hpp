// text_lines — a text line by line, with numbers, and whether the last line has its end.
#pragma once

#include <cstdint>
#include <string_view>

namespace rcptsync::source {

/// Without ASCII blanks at both ends.
inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

class TextLines {
 public:
  explicit TextLines(std::string_view text, std::uint32_t before = 0)
      : rest_(text), number_(before) {}

  /// Goes to the next line; false after the last one.
  bool next() {
    if (rest_.empty()) return false;
    const auto end = rest_.find('\n');
    ended_ = end != std::string_view::npos;
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(ended_ ? end + 1 : rest_.size());
    if (line_.ends_with('\r')) line_.remove_suffix(1);
    ++number_;
    return true;
  }

  /// Without its end, LF or CR LF.
  [[nodiscard]] std::string_view line() const { return line_; }
  [[nodiscard]] std::uint32_t number() const { return number_; }
  /// False only for a last line that the text ends in the middle of.
  [[nodiscard]] bool ended() const { return ended_; }
  /// What follows this line.
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_, line_;
  std::uint32_t number_ = 0;
  bool ended_ = true;
};

}  // namespace rcptsync::source

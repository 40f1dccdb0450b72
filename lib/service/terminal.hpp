// terminal — text for a person at a terminal: colours, lines that fit, columns.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rcptsync::service {

/// When text is coloured: automatic is on a terminal, unless NO_COLOR is set (no-color.org) or TERM
/// is `dumb`.
enum class Colour { automatic, always, never };
/// As the option --color has them.
inline const std::map<std::string, Colour> colour_names{
    {"auto", Colour::automatic}, {"always", Colour::always}, {"never", Colour::never}};

struct Terminal {
  /// Where standard output goes. 80 columns where it is no terminal.
  static Terminal of_standard_output(Colour colour);

  std::size_t width = 80;  ///< columns
  bool colour = false;

  // The text in that colour (ECMA-48 SGR), or as it is.
  [[nodiscard]] std::string red(std::string_view text) const;
  [[nodiscard]] std::string green(std::string_view text) const;
  [[nodiscard]] std::string yellow(std::string_view text) const;
  [[nodiscard]] std::string bold(std::string_view text) const;

  /// The text in lines that fit, each indented by so many spaces and ended. Broken at spaces; a
  /// word that is longer than a line stays whole, so that it can be copied.
  [[nodiscard]] std::string wrapped(std::string_view text, std::size_t indent) const;
};

/// Columns that the text takes: characters of UTF-8, without colours.
std::size_t columns_of(std::string_view text);

/// Rows of cells under one another, as wide as they have to be.
class Columns {
 public:
  enum class Align : char { left, right };
  explicit Columns(std::vector<Align> aligns, std::size_t gap = 2)
      : aligns_(std::move(aligns)), gap_(gap) {}

  /// One cell for each column; fewer: the rest is empty.
  void add(std::vector<std::string> cells) { rows_.push_back({std::move(cells), {}}); }
  /// Text that stands below the last row, as it is: lines with their ends.
  void note(std::string lines) { rows_.back().note += std::move(lines); }

  /// `gap` spaces between the columns. A first cell for which there is no room stands on a line of
  /// its own.
  [[nodiscard]] std::string text(std::size_t width) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string note;
  };
  std::vector<Align> aligns_;
  std::size_t gap_;
  std::vector<Row> rows_;
};

}  // namespace rcptsync::service

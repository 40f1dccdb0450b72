// delimited — text in columns: RFC 4180, with any delimiter, as Excel, PowerShell, csvde and
// ADMIN.EXE write it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rcptsync::source {

struct Row {
  std::vector<std::string> fields;
  std::uint32_t line = 0;  ///< where it begins
  bool ended = true;       ///< by a newline
  bool closed = false;     ///< its last field is in quotes
};

class DelimitedReader {
 public:
  DelimitedReader(std::string_view text, char delimiter, std::uint32_t lines_before = 0)
      : text_(text), delimiter_(delimiter), line_(lines_before + 1) {}

  /// The next row that is not blank; false after the last one. Errc::damaged for quotes that are
  /// not closed, and for text behind a closing quote.
  Result<bool> next(Row& row);

  [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }
  [[nodiscard]] std::uint32_t lines() const { return line_ - 1; }

 private:
  Result<> quoted(std::string& field);
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }

  std::string_view text_;
  std::size_t at_ = 0;
  char delimiter_;
  std::uint32_t line_;
};

/// The first row of a text, and how the rest of it is to be read.
struct Header {
  std::vector<std::string> columns;  ///< as written, without blanks around them
  char delimiter = ',';
  std::string_view rest;           ///< the rows
  std::uint32_t lines_before = 0;  ///< the rows

  /// Whether a row belongs under this header and is all there, as far as column `needed`. Excel
  /// leaves empty fields at the end of a row out, so a short one may be. Errc::damaged if not.
  [[nodiscard]] Result<> check(const Row& row, std::size_t needed) const;

  /// Calls `take` for each row under this header that check() finds good, until it refuses one.
  Result<> each_row(std::size_t needed, const std::function<Result<>(Row& row)>& take) const;

  /// The column with one of these names, whatever their case; the first name wins.
  [[nodiscard]] std::optional<std::size_t> find(
      std::initializer_list<std::string_view> names) const;
};

/// Reads the header with the delimiter, of comma, semicolon, tab and bar, that finds one of
/// `wanted`. `sep=;`, which Excel obeys, and PowerShell's `#TYPE` may stand before it. Nothing if
/// there is no such column; Header::columns of the best guess is then in `guess`.
std::optional<Header> find_header(std::string_view text,
                                  std::initializer_list<std::string_view> wanted,
                                  std::vector<std::string>* guess = nullptr);

}  // namespace rcptsync::source

#include "source/delimited.hpp"

#include <algorithm>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "source/findings.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {

Result<> DelimitedReader::quoted(std::string& field) {
  const auto begun = line_;
  ++at_;
  for (; !at_end(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') ++line_;
    if (c != '"') {
      field += c;
    } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
      field += text_[++at_];
    } else {
      ++at_;
      while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\r')) ++at_;
      if (at_end() || text_[at_] == delimiter_ || text_[at_] == '\n') return {};
      return broken(line_, "text follows a closing quote; a quote inside quotes is written twice");
    }
  }
  return broken(begun, "a quote is opened and never closed: the file is cut or damaged");
}

Result<bool> DelimitedReader::next(Row& row) {
  for (;;) {
    if (at_end()) return false;
    row.fields.clear();
    row.ended = false;
    row.line = line_;
    for (;;) {
      auto& field = row.fields.emplace_back();
      row.closed = !at_end() && text_[at_] == '"';
      if (row.closed) {
        if (auto read = quoted(field); !read) return read.error();
      } else {
        const auto end = std::min(text_.find(delimiter_, at_), text_.find('\n', at_));
        field = trimmed(text_.substr(at_, end - at_));
        at_ = std::min(end, text_.size());
      }
      if (at_end()) break;
      if (text_[at_++] == '\n') {
        ++line_;
        row.ended = true;
        break;
      }
    }
    if (row.fields.size() > 1 || !row.fields[0].empty()) return true;
  }
}

Result<> Header::check(const Row& row, std::size_t needed) const {
  const bool full = row.fields.size() == columns.size();
  if (!row.ended && !(full && row.closed))
    return broken(row.line, "the last row has no end: the file is cut; export it again");
  if (full || (row.fields.size() < columns.size() && row.fields.size() > needed)) return {};
  return broken(row.line, "the row has {} and the header {}: the file is cut or damaged",
                counted(row.fields.size(), "field"), columns.size());
}

Result<> Header::each_row(std::size_t needed, const std::function<Result<>(Row& row)>& take) const {
  DelimitedReader reader(rest, delimiter, lines_before);
  Row row;
  for (;;) {
    const auto more = reader.next(row);
    if (!more) return more.error();
    if (!*more) return {};
    if (auto good = check(row, needed); !good) return good;
    if (auto taken = take(row); !taken) return taken;
  }
}

std::optional<std::size_t> Header::find(std::initializer_list<std::string_view> names) const {
  for (const auto name : names)
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (ascii_equal(columns[i], name)) return i;
  return {};
}

std::optional<Header> find_header(std::string_view text,
                                  std::initializer_list<std::string_view> wanted,
                                  std::vector<std::string>* guess) {
  std::string delimiters = ",;\t|";
  std::uint32_t before = 0;
  TextLines lines(text);
  while (lines.next()) {
    const auto line = lines.line();
    const bool separator = line.size() == 5 && ascii_equal(line.substr(0, 4), "sep=");
    if (separator) delimiters.insert(0, 1, line[4]);
    if (!separator && !line.starts_with("#TYPE ") && !trimmed(line).empty()) break;
    text = lines.rest();
    before = lines.number();
  }
  if (guess != nullptr) guess->clear();
  for (const char delimiter : delimiters) {
    DelimitedReader reader(text, delimiter, before);
    Row row;
    if (const auto read = reader.next(row); !read || !*read) continue;
    Header header{{}, delimiter, reader.rest(), reader.lines()};
    for (const auto& field : row.fields) header.columns.emplace_back(trimmed(field));
    if (header.find(wanted)) return header;
    if (guess != nullptr && header.columns.size() > guess->size())
      *guess = std::move(header.columns);
  }
  return {};
}

}  // namespace rcptsync::source

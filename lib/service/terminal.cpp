#include "service/terminal.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace rcptsync::service {
namespace {

// A terminal that says it is narrower is believed to be wrong.
constexpr unsigned narrowest = 40;

std::string painted(bool colour, int code, std::string_view text) {
  return colour && !text.empty() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

}  // namespace

Terminal Terminal::of_standard_output(Colour colour) {
  Terminal terminal;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= narrowest)
    terminal.width = size.ws_col;
  const char* const no_colour = std::getenv("NO_COLOR");
  const char* const name = std::getenv("TERM");
  const bool can = ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0') &&
                   name != nullptr && std::string_view(name) != "dumb";
  terminal.colour = colour == Colour::always || (colour == Colour::automatic && can);
  return terminal;
}

std::string Terminal::red(std::string_view text) const {
  return painted(colour, 31, text);
}
std::string Terminal::green(std::string_view text) const {
  return painted(colour, 32, text);
}
std::string Terminal::yellow(std::string_view text) const {
  return painted(colour, 33, text);
}
std::string Terminal::bold(std::string_view text) const {
  return painted(colour, 1, text);
}

std::string Terminal::wrapped(std::string_view text, std::size_t indent) const {
  std::string lines, line;
  const auto end_line = [&] {
    lines += std::string(indent, ' ') + line + "\n";
    line.clear();
  };
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    if (!line.empty() && indent + columns_of(line) + 1 + columns_of(word) > width) end_line();
    line += (line.empty() ? "" : " ") + std::string(word);
  }
  if (!line.empty()) end_line();
  return lines;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  bool sequence = false;
  for (const char byte : text) {
    if (byte == '\x1b') sequence = true;
    // The bytes of a character after its first one are 10xxxxxx.
    if (!sequence && (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U) ++columns;
    if (byte == 'm') sequence = false;
  }
  return columns;
}

std::string Columns::text(std::size_t width) const {
  const auto count = aligns_.size();
  std::vector<std::size_t> widths(count, 0);
  for (const auto& [cells, note] : rows_)
    for (std::size_t i = 1; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(cells[i]));
  std::size_t others = 0;
  for (std::size_t i = 1; i < count; ++i) others += gap_ + widths[i];
  const auto room = width > others ? width - others : 0;
  for (const auto& [cells, note] : rows_)
    if (const auto columns = columns_of(cells.front()); columns <= room)
      widths[0] = std::max(widths[0], columns);

  std::string lines;
  for (const auto& [cells, note] : rows_) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const auto columns = columns_of(cells[i]);
      if (i == 0 && columns > widths[0]) {
        lines += cells[0] + "\n";
        line += std::string(widths[0], ' ');
        continue;
      }
      const std::string padding(widths[i] - columns, ' ');
      if (i > 0) line += std::string(gap_, ' ');
      line += aligns_[i] == Align::right ? padding + cells[i] : cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines += line + "\n" + note;
  }
  return lines;
}

}  // namespace rcptsync::service

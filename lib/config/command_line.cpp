#include "config/command_line.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"

namespace rcptsync::config {
namespace {

constexpr std::string_view blanks = " \t\n";
constexpr std::string_view taken_as_they_are = " \t\n'\"\\";

bool is_in(std::string_view set, char c) {
  return set.find(c) != std::string_view::npos;
}

Error invalid(std::string what) {
  return {Errc::invalid, std::move(what)};
}

}  // namespace

Result<std::vector<std::string>> split_command(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      if (i + 1 == text.size() || !is_in(taken_as_they_are, text[i + 1]))
        return invalid(
            fmt::format("has a backslash before {}; write \\\\ for a backslash",
                        i + 1 == text.size() ? "the end" : escape(text.substr(i + 1, 1))));
      word += text[++i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (is_in(blanks, c)) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return invalid(fmt::format("has a {} that is not closed", quote));
  if (in_word) words.push_back(std::move(word));
  if (!words.empty() && !words.front().starts_with('/'))
    return invalid(
        fmt::format("must begin with the absolute path of a program, not {}; a line for the shell "
                    "is written /bin/sh -c \"…\"",
                    escape(words.front(), 80)));
  return words;
}

}  // namespace rcptsync::config

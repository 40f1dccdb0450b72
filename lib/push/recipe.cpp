#include "push/recipe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/escape.hpp"
#include "push/recipe_script.hpp"

namespace rcptsync::push {
namespace {

constexpr std::size_t shown_words = 300;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// The code that the script gave to fail().
Errc code_of(std::string_view word) {
  constexpr std::array codes = {Errc::invalid,  Errc::not_found, Errc::permission, Errc::busy,
                                Errc::no_space, Errc::io,        Errc::damaged,    Errc::timeout};
  for (const auto code : codes)
    if (to_string(code) == word) return code;
  return Errc::remote;
}

// The recipe broke off without a word of its own: what the target said instead.
Error broken_off(const CommandOutput& output) {
  if (!output.signal.empty())
    return {Errc::incomplete,
            fmt::format("the shell on the target was killed by signal {}", escape(output.signal))};
  const auto& words = output.err.empty() ? output.out : output.err;
  return {Errc::remote,
          fmt::format("the account's shell there did not run the rebuild recipe to its end (exit "
                      "status {}); it needs a POSIX shell as login shell; it said: {}",
                      output.status, words.empty() ? "nothing" : escape(words, shown_words))};
}

Result<TableState> parse_table(const Answers& answers, const std::string& prefix) {
  TableState state;
  const auto digest = answers.get(prefix + "digest");
  if (digest != "absent") {
    state.digest = Digest::from_hex(digest);
    const auto size = answers.get(prefix + "size");
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), state.size);
    if (!state.digest || error != std::errc{} || end != size.data() + size.size())
      return Error{Errc::protocol, fmt::format("the recipe answered {}digest={} {}size={}", prefix,
                                               escape(digest), prefix, escape(size))};
  }
  state.whole = answers.get(prefix + "whole") == "yes";
  return state;
}

}  // namespace

std::string shell_quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string rebuild_command(std::string_view command, std::string_view new_file,
                            std::string_view table, const Digest& digest) {
  std::string text(command);
  replace_all(text, "{new}", shell_quote(new_file));
  replace_all(text, "{table}", shell_quote(table));
  replace_all(text, "{digest}", shell_quote(digest.hex()));
  return text;
}

bool usable_path(std::string_view path) {
  return path.size() > 1 && path.size() <= 1024 && path.front() == '/' && path.back() != '/' &&
         is_utf8(path) && std::all_of(path.begin(), path.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  static_cast<unsigned char>(c) >= 0x80 ||
                  std::string_view("/._-+@%=~").find(c) != std::string_view::npos;
         });
}

Error unusable_path(std::string_view path) {
  return {
      Errc::invalid,
      fmt::format("path: {} cannot be used; write an absolute path of letters, digits and / . _ "
                  "- + @ % = ~",
                  escape(path))};
}

std::string recipe_input(std::string_view mark, const std::vector<std::string>& arguments) {
  std::string text = "set -- " + shell_quote(mark);
  for (const auto& argument : arguments) text += " " + shell_quote(argument);
  text += "\n";
  text += recipe_script;
  return text;
}

std::string_view Answers::get(std::string_view key) const {
  const auto found = std::find_if(values.rbegin(), values.rend(),
                                  [&](const auto& value) { return value.first == key; });
  return found == values.rend() ? std::string_view{} : std::string_view(found->second);
}

Result<Answers> parse_answers(const CommandOutput& output, std::string_view mark) {
  Answers answers;
  const auto begin = std::string(mark) + " ";
  std::string_view rest = output.out;
  // A start-up file may end without a newline, so an answer need not begin its line.
  for (auto at = rest.find(begin); at != std::string_view::npos; at = rest.find(begin)) {
    rest.remove_prefix(at + begin.size());
    const auto line = rest.substr(0, rest.find('\n'));
    if (line.size() == rest.size()) break;  // cut off
    rest.remove_prefix(line.size() + 1);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const auto key = line.substr(0, equals);
    const auto value = line.substr(equals + 1);
    if (key == "fail") {
      const auto space = value.find(' ');
      return Error{code_of(value.substr(0, space)), space == std::string_view::npos
                                                        ? "the recipe failed"
                                                        : escape(value.substr(space + 1), 600)};
    }
    if (key == "bytes") {
      answers.bytes = rest;
      answers.ended = output.status == 0 && output.signal.empty();
      break;
    }
    if (key == "end") answers.ended = true;
    answers.values.emplace_back(key, value);
  }
  if (!answers.ended) return broken_off(output);
  return answers;
}

Result<Look> parse_look(const Answers& answers) {
  Look look;
  auto recipients = parse_table(answers, "");
  if (!recipients) return recipients.error();
  look.recipients = *recipients;
  if (!answers.get("access_digest").empty()) {
    auto access = parse_table(answers, "access_");
    if (!access) return access.error();
    look.access = *access;
  }
  look.map_type = escape(answers.get("map_type"), 20);
  for (const auto& [key, value] : answers.values)
    if (key == "warning") look.warnings.push_back(escape(value, 600));
  return look;
}

std::string digest_word(const std::optional<Digest>& digest) {
  return digest ? digest->hex() : "absent";
}

}  // namespace rcptsync::push

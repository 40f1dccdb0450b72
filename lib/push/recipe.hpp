// recipe — the script config/target/rebuild.sh as this program uses it: how a verb is put to it and
// what its answers mean. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/result.hpp"
#include "config/config.hpp"
#include "push/session.hpp"

namespace rcptsync::push {

/// The command that a target runs; the script comes on its standard input.
constexpr std::string_view recipe_command = "sh -s";

/// One word of POSIX sh: '…', with every ' as '\''.
std::string shell_quote(std::string_view text);

/// `{new}`, `{table}` and `{digest}` of an administrator's command replaced, shell-quoted.
std::string rebuild_command(std::string_view command, std::string_view new_file,
                            std::string_view table, const Digest& digest);

/// Whether a path can stand in main.cf, in a command of SCP and in a pattern without meaning
/// something else there: absolute, and of letters, digits and `/ . _ - + @ % = ~` or UTF-8 above
/// ASCII only.
bool usable_path(std::string_view path);
Error unusable_path(std::string_view path);

/// The script with its verb and arguments before it. `mark` begins each line of the answer.
std::string recipe_input(std::string_view mark, const std::vector<std::string>& arguments);

/// What the recipe said between what the shell's start-up files printed.
struct Answers {
  std::vector<std::pair<std::string, std::string>> values;  ///< in order; keys may come again
  std::string_view bytes;  ///< all that follows `bytes=follow`, into the output given
  bool ended = false;      ///< `end=ok` was there

  [[nodiscard]] std::string_view get(std::string_view key) const;  ///< the last; empty if none
};

/// An Error if the recipe reported one, or did not come to its end; `output` must outlive the
/// answers.
Result<Answers> parse_answers(const CommandOutput& output, std::string_view mark);

/// One table as `look` saw it.
struct TableState {
  std::optional<Digest> digest;  ///< nothing: there is no table
  std::uint64_t size = 0;
  bool whole = false;  ///< text and every index are there and belong together
};

struct Look {
  TableState recipients;
  std::optional<TableState> access;  ///< nothing: not asked for, and none is there
  std::string map_type;
  std::vector<std::string> warnings;
};

Result<Look> parse_look(const Answers& answers);

/// `absent` or the digits, as the recipe writes a digest.
std::string digest_word(const std::optional<Digest>& digest);

}  // namespace rcptsync::push

// aliases — aliases(5), as Postfix and Sendmail read it: the names that stand on the left.
#include <optional>

#include "base/escape.hpp"
#include "source/accounts.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

/// The left-hand side of `name: …`, unquoted. Nothing if the line has none.
struct LeftSide {
  std::string name;
  bool quoted = false;  ///< some of it stood in quotes: an @ in it belongs to the name
};

std::optional<LeftSide> left_side(std::string_view line) {
  LeftSide side;
  bool in_quotes = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\\' && i + 1 < line.size()) {
      side.name += line[++i];
    } else if (c == '"') {
      in_quotes = !in_quotes;
      side.quoted = true;
    } else if (c == ':' && !in_quotes) {
      const auto name = trimmed(side.name);
      if (name.empty()) return {};
      side.name = std::string(name);
      return side;
    } else {
      side.name += c;
    }
  }
  return {};
}

// `user@host: …` names one address; everything else is a recipient at each domain. `@host` and `*`,
// which stand for everybody in some systems, are no addresses and are dropped as such.
void add_alias(const LeftSide& side, const std::vector<std::string>& domains, std::uint32_t line,
               Findings& findings) {
  const auto key = folded_key("alias:", side.name);
  const auto add = [&](std::string_view address) {
    findings.add({key, recipient::ObjectClass::group, "aliases", address, {}, line});
  };
  const auto at = side.quoted ? std::string::npos : side.name.rfind('@');
  if (at != std::string::npos && at > 0)
    return add(quoted_local_part(side.name.substr(0, at)) + side.name.substr(at));
  if (at == 0 || (side.name == "*" && !side.quoted)) return add(side.name);
  const auto local = quoted_local_part(side.name);
  for (const auto& domain : domains) add(local + '@' + domain);
}

}  // namespace

Result<> parse_aliases(std::string_view text, const std::vector<std::string>& domains,
                       Findings& findings) {
  TextLines lines(text);
  bool backslash = false;  // at the end of the line before
  bool any = false;        // there is a line that could be continued
  while (lines.next()) {
    const auto line = lines.line();
    if (!lines.ended() && !trimmed(line).empty())
      return broken(
          lines.number(),
          "the last line has no end: the file is cut, or its editor left the newline out");
    const auto content = trimmed(line);
    if (content.empty() || content.front() == '#') continue;
    const bool indented = line.front() == ' ' || line.front() == '\t';
    if (indented && !any)
      return broken(lines.number(), "continues a line, and there is none before it: {}",
                    escape(content, 60));
    const auto side = indented ? std::nullopt : left_side(line);
    if (side)
      add_alias(*side, domains, lines.number(), findings);
    else if (!indented && !backslash)
      return broken(lines.number(), "no `name: value` as in aliases(5): {}", escape(content, 60));
    backslash = content.ends_with('\\');
    any = true;
  }
  return {};
}

}  // namespace rcptsync::source

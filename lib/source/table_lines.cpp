// table_lines — tables with an entry on each line.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <unordered_set>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"
#include "source/access_action.hpp"
#include "source/proxy_values.hpp"
#include "source/table_source.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

using config::TableFormat;

constexpr std::string_view separators = ";,| \t";

// The first word; a quoted string in it may hold blanks.
std::string_view first_word(std::string_view line) {
  bool in_quotes = false;
  std::size_t at = 0;
  for (; at < line.size(); ++at) {
    if (line[at] == '\\' && in_quotes) {
      ++at;
    } else if (line[at] == '"') {
      in_quotes = !in_quotes;
    } else if (!in_quotes && (line[at] == ' ' || line[at] == '\t')) {
      break;
    }
  }
  return line.substr(0, std::min(at, line.size()));
}

/// `alias: SMTP:address …`: what stands on both sides of the first colon.
struct NamedLine {
  std::string_view name, values;
};

std::optional<NamedLine> named_line(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  const NamedLine parts{trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1))};
  if (parts.name.empty() || !is_typed(parts.values)) return {};
  return parts;
}

class LineTable {
 public:
  LineTable(TableFormat format, Findings& findings) : format_(format), findings_(findings) {}

  Result<> parse(std::string_view text) {
    TextLines lines(text);
    while (lines.next()) {
      const auto line = trimmed(lines.line());
      if (line.empty() || line.front() == '#') continue;
      line_ = lines.number();
      const bool indented = lines.line().front() == ' ' || lines.line().front() == '\t';
      if (indented && continues(line)) {
        action_ += ' ';
        action_ += line;
        continue;
      }
      flush();
      cut_ = !lines.ended();
      if (auto taken = take(line); !taken) return taken;
    }
    flush();
    return judge();
  }

 private:
  [[nodiscard]] bool allows(TableFormat format) const {
    return format_ == TableFormat::automatic || format_ == format;
  }

  // access(5): a line that begins with a blank goes on with the one before it. In a file of which
  // that is not known, one that begins with an address is taken for itself.
  [[nodiscard]] bool continues(std::string_view line) const {
    if (address_.empty()) return false;
    if (format_ == TableFormat::postfix) return true;
    return format_ == TableFormat::automatic && !action_.empty() && !is_address(first_word(line));
  }

  static bool is_address(std::string_view word) {
    return recipient::parse_address(recipient::without_prefix(word)).drop == recipient::Drop::kept;
  }

  Result<> take(std::string_view line) {
    if (allows(TableFormat::vbscript)) {
      if (const auto parts = named_line(line)) {
        take_named(*parts);
        return {};
      }
      // An object without any address.
      if (format_ == TableFormat::vbscript && line.ends_with(':')) return {};
    }
    if (format_ == TableFormat::vbscript) {
      refuse(line);
      return {};
    }
    const auto word = first_word(line);
    const auto rest = trimmed(line.substr(word.size()));
    if (format_ == TableFormat::list && !rest.empty() && rest.front() != '#')
      return broken(line_,
                    "more than an address: {}; if it is a Postfix table, write format: "
                    "postfix",
                    escape(line, 60));
    // Another mail system's address: left out as everywhere.
    if (recipient::other_protocol(word)) {
      ++good_;
      return {};
    }
    // Domains and wildcards of access(5): dropped and named by the rules, no sign of damage.
    const bool wide =
        word.starts_with('@') || word.ends_with('@') ||
        (word.find('@') == std::string_view::npos && !rest.empty() && !reject_text(rest).empty());
    if (!wide && !is_address(word)) {
      refuse(line);
      return {};
    }
    address_ = word;
    action_ = rest;
    entry_line_ = line_;
    return {};
  }

  void take_named(const NamedLine& parts) {
    ++good_;
    last_domain_.clear();
    const auto key = folded_key("name:", parts.name);
    for (const auto value : mail_values(parts.values, separators)) add(key, value, {}, line_);
  }

  // Any text that is no entry: the rules say in `why` what is wrong with it.
  void refuse(std::string_view line) {
    ++bad_;
    last_domain_.clear();
    if (first_bad_ == 0) first_bad_ = line_;
    if (cut_) cut_badly_ = true;
    add(folded_key("line:", line), line, {}, line_);
  }

  void flush() {
    if (address_.empty()) return;
    last_domain_.clear();
    const auto text = recipient::without_prefix(address_);
    add(folded_key("address:", trimmed(text)), address_, reject_text(action_), entry_line_);
    if (!last_domain_.empty()) ++good_;
    address_.clear();
    action_.clear();
  }

  void add(const std::string& key, std::string_view text, const std::string& reject,
           std::uint32_t line) {
    findings_.add({key, recipient::ObjectClass::entry, "table", text, reject, line});
    const auto parsed = recipient::parse_address(recipient::without_prefix(text));
    if (parsed.drop != recipient::Drop::kept) return;
    last_domain_ = recipient::domain_of(parsed.canonical);
    if (!cut_) domains_.insert(last_domain_);
  }

  Result<> judge() const {
    if (bad_ > good_)
      return broken(first_bad_,
                    "{} of {} {} in none of the formats: one address a line (list), `address "
                    "OK` or `address 550 text` (postfix), `alias: SMTP:address` (vbscript); a "
                    "header with proxyAddresses (csv) or `dn:` (ldif) would be at the top",
                    bad_, counted(bad_ + good_, "line"), plural(bad_, "is", "are"));
    // Many programs write no newline at the end. A cut address nearly never ends in a domain that
    // the file knows.
    if (cut_ && (cut_badly_ || last_domain_.empty() || !domains_.contains(last_domain_)))
      return broken(line_,
                    "the last line has no end and a domain that no other line has: the file may be "
                    "cut; if it is whole, end it with a newline");
    return {};
  }

  TableFormat format_;
  Findings& findings_;
  std::uint32_t line_ = 0;
  std::uint64_t good_ = 0, bad_ = 0;
  std::uint32_t first_bad_ = 0;
  bool cut_ = false, cut_badly_ = false;
  std::string last_domain_;                  ///< of the entry taken last, if it was an address
  std::unordered_set<std::string> domains_;  ///< of all entries but a cut one
  std::string address_, action_;             ///< an entry that the next line may continue
  std::uint32_t entry_line_ = 0;
};

}  // namespace

Result<> parse_table_lines(std::string_view text, TableFormat format, Findings& findings) {
  return LineTable(format, findings).parse(text);
}

}  // namespace rcptsync::source

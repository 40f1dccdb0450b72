#include "source/table_source.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"
#include "source/delimited.hpp"
#include "source/encoding.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {

using config::TableFormat;

namespace {

bool starts_folded(std::string_view line, std::string_view start) {
  return line.size() >= start.size() && ascii_equal(line.substr(0, start.size()), start);
}

Result<> parse_as(TableFormat format, std::string_view text, Findings& findings) {
  switch (format) {
    case TableFormat::csv:
      return parse_csv(text, findings);
    case TableFormat::ldif:
      return parse_ldif(text, findings);
    default:
      return parse_table_lines(text, format, findings);
  }
}

}  // namespace

bool is_blank_text(std::string_view text) {
  TextLines lines(text);
  while (lines.next())
    if (const auto line = trimmed(lines.line()); !line.empty() && line.front() != '#') return false;
  return true;
}

TableFormat recognize_table(std::string_view text) {
  TextLines lines(text);
  while (lines.next()) {
    const auto line = trimmed(lines.line());
    if (line.empty() || line.front() == '#') continue;
    if (starts_folded(line, "version:") || starts_folded(line, "dn:")) return TableFormat::ldif;
    break;
  }
  return find_header(text, {"proxyAddresses", "EmailAddresses"}) ? TableFormat::csv
                                                                 : TableFormat::automatic;
}

Result<> parse_table(std::string bytes, const config::FileSource& settings, Findings& findings) {
  const auto text = decode_text(std::move(bytes), settings.encoding);
  if (!text) return text.error();
  if (!is_blank_text(*text)) {
    const auto format =
        settings.format == TableFormat::automatic ? recognize_table(*text) : settings.format;
    if (auto parsed = parse_as(format, *text, findings); !parsed) return parsed;
  }
  return findings.plausible(settings.allow_empty);
}

FileSourcePlan plan_table(const config::FileSource& settings) {
  FileSourcePlan plan;
  plan.settings = fmt::format("table {} {} {}", config::to_string(settings.format),
                              config::to_string(settings.encoding), settings.allow_empty);
  plan.files.push_back({"path", settings.path, [settings](std::string bytes, Findings& findings) {
                          return parse_table(std::move(bytes), settings, findings);
                        }});
  return plan;
}

}  // namespace rcptsync::source

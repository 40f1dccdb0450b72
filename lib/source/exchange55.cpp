#include "source/exchange55.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "recipient/object.hpp"
#include "source/delimited.hpp"
#include "source/encoding.hpp"
#include "source/proxy_values.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

using recipient::ObjectClass;

struct Class {
  std::string_view name;
  ObjectClass kind;
};

constexpr std::array classes{
    Class{"mailbox", ObjectClass::user},
    Class{"remote", ObjectClass::contact},
    Class{"dl", ObjectClass::group},
    Class{"public folder", ObjectClass::public_folder},
    Class{"public-folder", ObjectClass::public_folder},
};

ObjectClass kind_of_class(std::string_view name) {
  for (const auto& known : classes)
    if (ascii_equal(trimmed(name), known.name)) return known.kind;
  return ObjectClass::other;
}

/// A value of an import file that stands for "remove what is there".
constexpr std::string_view delete_marker = "~DEL";

class Export {
 public:
  Export(const Header& header, Findings& findings)
      : header_(header),
        findings_(findings),
        class_(*header.find({"Obj-Class"})),
        addresses_(*header.find({"E-mail addresses", "E-mail address"})),
        secondary_(*header.find({"Secondary-Proxy-Addresses"})),
        mode_(header.find({"Mode"})),
        name_(header.find({"Directory Name"})),
        container_(header.find({"Obj-Container"})),
        alias_(header.find({"Alias Name"})) {}

  Result<> parse() {
    return header_.each_row(std::max({class_, addresses_, secondary_}), [this](Row& row) {
      // Names of people are in the code page of the machine that exported.
      for (auto& field : row.fields)
        if (!is_utf8(field)) field = from_windows_1252(field);
      take(row);
      return Result<>();
    });
  }

 private:
  void take(const Row& row) {
    if (mode_ && ascii_equal(trimmed(field(row, mode_)), "Delete")) {
      findings_.warn(row.line, "mode Delete: the object is taken for gone");
      return;
    }
    struct Found {
      std::string_view attribute, text;
    };
    std::vector<Found> found;
    const auto collect = [&](std::size_t column, std::string_view attribute) {
      for (const auto value : typed_values(row.fields[column], "%"))
        if (!recipient::other_protocol(value) && !ascii_equal(value, delete_marker))
          found.push_back({attribute, value});
    };
    collect(addresses_, "E-mail addresses");
    collect(secondary_, "Secondary-Proxy-Addresses");
    if (found.empty()) return;
    const auto key = key_of(row, found.front().text);
    const auto kind = kind_of_class(row.fields[class_]);
    for (const auto& [attribute, text] : found)
      findings_.add({key, kind, attribute, text, {}, row.line});
  }

  [[nodiscard]] static std::string_view field(const Row& row, std::optional<std::size_t> column) {
    return column && *column < row.fields.size() ? std::string_view(row.fields[*column])
                                                 : std::string_view();
  }

  // The directory name never changes in the life of an object.
  [[nodiscard]] std::string key_of(const Row& row, std::string_view first_address) const {
    if (const auto name = trimmed(field(row, name_)); !name.empty())
      return folded_key("name:", fmt::format("{}/{}", trimmed(field(row, container_)), name));
    if (const auto alias = trimmed(field(row, alias_)); !alias.empty())
      return folded_key("alias:", alias);
    return folded_key("address:", recipient::without_prefix(first_address));
  }

  const Header& header_;
  Findings& findings_;
  std::size_t class_, addresses_, secondary_;
  std::optional<std::size_t> mode_, name_, container_, alias_;
};

// All three are needed: without the last one every second address would be missing unnoticed.
Result<> check_columns(const Header& header) {
  std::vector<std::string_view> missing;
  if (!header.find({"Obj-Class"})) missing.emplace_back("Obj-Class");
  if (!header.find({"E-mail addresses", "E-mail address"}))
    missing.emplace_back("E-mail addresses");
  if (!header.find({"Secondary-Proxy-Addresses"}))
    missing.emplace_back("Secondary-Proxy-Addresses");
  if (missing.empty()) return {};
  return broken(header.lines_before,
                "the header lacks {}; it has: {}. Put the column into the header file that "
                "ADMIN.EXE exports by",
                fmt::join(missing, " and "),
                escape(fmt::format("{}", fmt::join(header.columns, ", ")), 300));
}

}  // namespace

Result<> parse_exchange55(std::string bytes, const config::FileSource& settings,
                          Findings& findings) {
  const auto text = decode_text(std::move(bytes), settings.encoding);
  if (!text) return text.error();
  if (text->find_first_not_of(" \t\r\n") != std::string::npos) {
    std::vector<std::string> columns;
    auto header = find_header(*text, {"Obj-Class"}, &columns);
    if (!header) header = find_header(*text, {"E-mail addresses", "E-mail address"}, &columns);
    if (!header)
      return broken(1,
                    "no header of an Exchange 5.5 export, with Obj-Class, E-mail addresses and "
                    "Secondary-Proxy-Addresses; the first line has: {}",
                    escape(fmt::format("{}", fmt::join(columns, ", ")), 300));
    if (auto good = check_columns(*header); !good) return good;
    if (auto parsed = Export(*header, findings).parse(); !parsed) return parsed;
  }
  return findings.plausible(settings.allow_empty);
}

FileSourcePlan plan_exchange55(const config::FileSource& settings) {
  FileSourcePlan plan;
  plan.settings =
      fmt::format("exchange55 {} {}", config::to_string(settings.encoding), settings.allow_empty);
  plan.files.push_back({"path", settings.path, [settings](std::string bytes, Findings& findings) {
                          return parse_exchange55(std::move(bytes), settings, findings);
                        }});
  return plan;
}

}  // namespace rcptsync::source

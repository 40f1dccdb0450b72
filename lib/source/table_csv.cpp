// table_csv — exports with a header: csvde, Export-Csv, Excel.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/escape.hpp"
#include "source/delimited.hpp"
#include "source/ldap_entry.hpp"
#include "source/proxy_values.hpp"
#include "source/table_source.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

constexpr std::string_view separators = ";,| \t\r\n";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// csvde writes a value that is not ASCII as X'…', its bytes in hexadecimal.
std::optional<std::string> from_hex(std::string_view value) {
  if (value.size() < 3 || (value[0] != 'X' && value[0] != 'x') || value[1] != '\'' ||
      value.back() != '\'')
    return {};
  value = value.substr(2, value.size() - 3);
  std::string bytes;
  for (std::size_t i = 0; i + 1 < value.size(); i += 2) {
    const int high = hex_digit(value[i]);
    const int low = hex_digit(value[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes += static_cast<char>(high << 4 | low);
  }
  if (value.size() % 2 != 0) return {};
  return bytes;
}

// What PowerShell writes for a list that nobody joined: the name of its type.
bool is_type_name(std::string_view field) {
  return field == "System.String[]" || field == "System.Object[]" ||
         (field.starts_with("Microsoft.") && field.ends_with("Collection"));
}

// The most specific of the classes in the field.
recipient::ObjectClass kind_in(std::string_view field) {
  auto kind = recipient::ObjectClass::entry;
  int most = 0;
  while (!field.empty()) {
    const auto end = std::min(field.find_first_of(separators), field.size());
    int rank = 0;
    const auto found = kind_of(field.substr(0, end), rank);
    if (rank > most) kind = found;
    most = std::max(most, rank);
    field.remove_prefix(std::min(end + 1, field.size()));
  }
  return kind;
}

class CsvTable {
 public:
  CsvTable(const Header& header, Findings& findings)
      : header_(header),
        findings_(findings),
        addresses_(*header.find({"proxyAddresses", "EmailAddresses"})),
        fallback_(header.find({"mail", "PrimarySmtpAddress"})),
        kind_(header.find({"objectClass"})) {
    for (const auto name : {"objectGUID", "entryUUID", "Guid", "sAMAccountName", "mailNickname",
                            "Alias", "DN", "distinguishedName"})
      if (const auto column = header.find({name})) keys_.push_back(*column);
  }

  Result<> parse() {
    return header_.each_row(addresses_, [this](const Row& row) { return take(row); });
  }

 private:
  Result<> take(const Row& row) {
    const auto& field = row.fields[addresses_];
    if (is_type_name(trimmed(field)))
      return broken(row.line,
                    "{} holds {} and no addresses; the export has to join them, in "
                    "PowerShell @{{n='proxyAddresses';e={{$_.proxyAddresses -join ';'}}}}",
                    escape(header_.columns[addresses_], 40), escape(trimmed(field), 60));
    if (!add(row, field, "proxyAddresses") && fallback_ && *fallback_ < row.fields.size())
      add(row, row.fields[*fallback_], "mail");
    return {};
  }

  /// True if the field holds any e-mail address, good or bad.
  bool add(const Row& row, std::string_view field, std::string_view attribute) {
    std::vector<std::string> values;
    for (const auto piece : mail_values(field, separators)) {
      if (const auto bytes = from_hex(piece)) {
        for (const auto value : mail_values(*bytes, separators)) values.emplace_back(value);
      } else {
        values.emplace_back(piece);
      }
    }
    if (values.empty()) return false;
    const auto key = key_of(row, values.front());
    const auto kind = kind_ && *kind_ < row.fields.size() ? kind_in(row.fields[*kind_])
                                                          : recipient::ObjectClass::entry;
    for (const auto& value : values) findings_.add({key, kind, attribute, value, {}, row.line});
    return true;
  }

  [[nodiscard]] std::string key_of(const Row& row, std::string_view first_value) const {
    for (const auto column : keys_)
      if (column < row.fields.size() && !trimmed(row.fields[column]).empty())
        return folded_key(ascii_lower(header_.columns[column]) + ":", trimmed(row.fields[column]));
    return folded_key("address:", recipient::without_prefix(first_value));
  }

  const Header& header_;
  Findings& findings_;
  std::size_t addresses_;
  std::optional<std::size_t> fallback_, kind_;
  std::vector<std::size_t> keys_;
};

}  // namespace

Result<> parse_csv(std::string_view text, Findings& findings) {
  std::vector<std::string> columns;
  const auto header = find_header(text, {"proxyAddresses", "EmailAddresses"}, &columns);
  if (!header)
    return broken(1, "the header has no column proxyAddresses; its columns are: {}",
                  escape(fmt::format("{}", fmt::join(columns, " ")), 200));
  return CsvTable(*header, findings).parse();
}

}  // namespace rcptsync::source

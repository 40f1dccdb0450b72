// print-tables — judges values as a directory would give them and writes the tables they make.
//
//   print-tables FORMAT FOLDER < VALUES
//
// FORMAT is postfix or list. VALUES: one value a line, in hexadecimal so that it may hold any
// bytes; after a space, a reject text in plain. Standard output: for each value one line, its
// canonical form in hexadecimal, or `-` and the reason. FOLDER gets `recipients` and `access`, and
// `not_carried`: their number, then the sample, each on a line.
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "recipient/address.hpp"
#include "recipient/table.hpp"

namespace {

using namespace rcptsync;

std::optional<std::string> from_hex(std::string_view text) {
  const auto nibble = [](char c) {
    return static_cast<int>(std::string_view("0123456789abcdef").find(c));
  };
  std::string bytes;
  if (text.size() % 2 != 0) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    if (nibble(text[i]) < 0 || nibble(text[i + 1]) < 0) return std::nullopt;
    bytes += static_cast<char>(nibble(text[i]) * 16 + nibble(text[i + 1]));
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

bool write(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  out.close();
  return out.good();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view format = argc == 3 ? argv[1] : "";
  if (format != "postfix" && format != "list") {
    std::cerr << "usage: print-tables postfix|list FOLDER < VALUES\n";
    return 2;
  }
  const std::string folder = argv[2];

  std::map<std::string, std::string> rejects;  // by canonical address
  for (std::string line; std::getline(std::cin, line);) {
    const auto space = line.find(' ');
    const auto value = from_hex(std::string_view(line).substr(0, space));
    if (!value) {
      std::cerr << "print-tables: not hexadecimal: " << line << '\n';
      return 2;
    }
    auto parsed = recipient::parse_address(*value);
    if (parsed.drop != recipient::Drop::kept) {
      std::cout << "- " << to_string(parsed.drop) << '\n';
      continue;
    }
    std::cout << to_hex(parsed.canonical) << '\n';
    rejects.emplace(std::move(parsed.canonical),
                    space == std::string::npos ? "" : line.substr(space + 1));
  }

  const auto tables = recipient::make_tables(
      [&](const auto& each) {
        for (const auto& [address, reject] : rejects) each({address, reject});
      },
      {.format = format == "list" ? config::Format::list : config::Format::postfix,
       .domains = {},
       .with_access = true});
  std::string not_carried = std::to_string(tables.not_carried) + '\n';
  for (const auto& address : tables.not_carried_sample) not_carried += address + '\n';
  const bool written = write(folder + "/recipients", tables.recipients.bytes) &&
                       write(folder + "/access", tables.access.bytes) &&
                       write(folder + "/not_carried", not_carried);
  if (!written) std::cerr << "print-tables: cannot write into " << folder << '\n';
  return written ? 0 : 1;
}

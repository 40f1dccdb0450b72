#include <algorithm>
#include <utility>

#include "base/escape.hpp"
#include "recipient/address.hpp"
#include "recipient/table.hpp"

namespace rcptsync::recipient {
namespace {

// Longer than any address: enough to count a strange key and to name it, without keeping all of it.
constexpr std::size_t max_key = 320;

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// postmap's rule: the key ends at the first white space outside quotes.
std::string_view first_column(std::string_view line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\')
      ++i;
    else if (line[i] == '"')
      quoted = !quoted;
    else if (!quoted && is_space(line[i]))
      return line.substr(0, i);
  }
  return line;
}

std::string folded(std::string_view key) {
  if (key.starts_with('@'))
    if (auto domain = canonical_domain(key.substr(1)); !domain.empty()) return '@' + domain;
  auto parsed = parse_address(key);
  if (parsed.drop == Drop::kept) return std::move(parsed.canonical);
  return ascii_lower(key.substr(0, max_key));
}

}  // namespace

std::vector<std::string> addresses_in(std::string_view table_bytes, config::Format format) {
  std::vector<std::string> addresses;
  while (!table_bytes.empty()) {
    const auto end = table_bytes.find('\n');
    auto line = table_bytes.substr(0, end);
    table_bytes.remove_prefix(end == std::string_view::npos ? table_bytes.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    // In a list every line is an address; in the other formats '#' makes a comment, and white space
    // continues the line before.
    if (line.empty() || is_space(line.front())) continue;
    if (line.front() == '#' && format != config::Format::list) continue;
    addresses.push_back(folded(first_column(line)));
  }
  // A table in order, as ours are, is not sorted again; the two forms of a domain are one address.
  if (!std::is_sorted(addresses.begin(), addresses.end()))
    std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

}  // namespace rcptsync::recipient

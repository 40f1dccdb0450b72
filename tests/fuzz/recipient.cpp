// fuzz-recipient — any bytes as an address, as the rows of a table, and as a table that some host
// holds. What must hold for all of them aborts if it does not.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "base/escape.hpp"
#include "recipient/address.hpp"
#include "recipient/object.hpp"
#include "recipient/table.hpp"

namespace {

using namespace rcptsync;
using namespace rcptsync::recipient;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void check_address(const Parsed& parsed) {
  const auto& text = parsed.canonical;
  require(text.empty() == (parsed.drop != Drop::kept), "a form if and only if kept");
  if (text.empty()) return;
  require(text.size() <= 254, "at most 254 octets");
  require(is_utf8(text), "UTF-8");
  require(text.front() != '@' && text.front() != ' ', "begins with a local part");
  require(std::none_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }),
          "no control character");
  require(text.front() == '"' || std::count(text.begin(), text.end(), '@') == 1, "one @");
  require(text.front() == '"' || text.find(' ') == std::string::npos, "no space outside quotes");
  const auto domain = domain_of(text);
  require(canonical_domain(domain) == domain, "canonical domain");
  require(canonical_domain(unicode_domain(domain)) == domain,
          "the U-label form is the same domain");
  require(parse_address(text).canonical == text, "its own canonical form");
}

void check_file(const File& file) {
  std::string_view rest = file.bytes;
  std::string_view before;
  std::uint64_t lines = 0;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    require(end != std::string_view::npos, "a final newline");
    const auto line = rest.substr(0, end);
    require(lines == 0 || before < line, "sorted and unique");
    require(!line.empty() && line.front() != ' ' && line.front() != '\t', "no continuation line");
    before = line;
    rest.remove_prefix(end + 1);
    ++lines;
  }
  require(lines == file.entries, "as many lines as entries");
  require(file.digest == sha256(file.bytes), "the digest of the bytes");
}

// `rows` as a damaged store would give them: in order, but with anything in them.
void check_tables(const std::map<std::string, std::string, std::less<>>& rows, bool canonical) {
  for (const auto format : {config::Format::postfix, config::Format::list}) {
    const auto tables = make_tables(
        [&](const auto& each) {
          for (const auto& [address, reject] : rows) each({address, reject});
        },
        {.format = format, .domains = {}, .with_access = true});
    if (canonical) {
      check_file(tables.recipients);
      check_file(tables.access);
    }
    for (const File* file : {&tables.recipients, &tables.access}) {
      const auto newlines = std::count(file->bytes.begin(), file->bytes.end(), '\n');
      require(static_cast<std::uint64_t>(newlines) == file->entries, "no row adds a line");
      if (format == config::Format::postfix)
        require(!file->bytes.starts_with('#') && file->bytes.find("\n#") == std::string::npos,
                "no row makes a comment");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);

  check_address(parse_address(input));
  (void)other_protocol(input);
  check_address(parse_address(without_prefix(input)));

  std::map<std::string, std::string, std::less<>> good;
  std::map<std::string, std::string, std::less<>> raw;
  for (std::string_view rest = input; !rest.empty();) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    const auto parsed = parse_address(line);
    check_address(parsed);
    const std::string reject = line.size() % 3 == 0 ? "550 5.1.1 gone" : "";
    if (parsed.drop == Drop::kept) good.emplace(parsed.canonical, reject);
    // A row reaches into the next line, so that a row can hold a newline.
    raw.emplace(rest.substr(0, end == std::string_view::npos ? end : end + 8), line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  check_tables(good, true);
  check_tables(raw, false);

  for (const auto format : {config::Format::postfix, config::Format::list}) {
    const auto found = addresses_in(input, format);
    require(std::is_sorted(found.begin(), found.end()), "read back in order");
    for (const auto& address : found)
      require(address.find('\n') == std::string::npos && address.size() <= 320, "one short line");
  }
  return 0;
}

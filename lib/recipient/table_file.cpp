#include "recipient/table_file.hpp"

#include <algorithm>

#include "recipient/address.hpp"
#include "recipient/unicode.hpp"

namespace rcptsync::recipient {
namespace {

constexpr std::size_t hash_step = std::size_t{1} << 18;  // small enough to be still in the cache
constexpr std::size_t max_address = 254;                 // octets, in either form (RFC 6531 §3.4)

void append_line(std::string& out, std::string_view address, std::string_view value) {
  out += address;
  if (!value.empty()) {
    out += '\t';
    out += value;
  }
  out += '\n';
}

bool has_a_label(std::string_view domain) {
  return domain.starts_with("xn--") || domain.find(".xn--") != std::string_view::npos;
}

// `local@domain TAB value` → `local@domain`. Neither a tab nor a newline stands in an address.
std::string_view address_of_line(std::string_view line) {
  return line.substr(0, line.find_first_of("\t\n"));
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto length = text.find('\n') + 1;
    lines.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

}  // namespace

void TableFile::add(std::string_view address, std::string_view value) {
  append_line(file_.bytes, address, value);
  ++file_.entries;

  const std::string_view domain = domain_of(address);
  if (!has_a_label(domain)) return;
  const auto& unicode = unicode_domain_of(domain);
  std::string second(address.substr(0, address.size() - domain.size()));
  second += unicode;
  // Longer than an address can be: no client can send it, and it might not fit into an LMDB key.
  if (unicode == domain || second.size() > max_address) return;
  SecondForm form{unicode, {}};
  append_line(form.line, second, value);
  second_forms_.push_back(std::move(form));
}

std::vector<std::string> TableFile::end_group(Keys* taken) {
  std::vector<std::string> not_carried;
  std::vector<std::string> lines;
  for (auto& line : split_lines(std::string_view(file_.bytes).substr(group_))) {
    const auto address = address_of_line(line);
    if (taken != nullptr && !taken->emplace(domain_of(address)).second)
      not_carried.emplace_back(address);
    else
      lines.push_back(std::move(line));
  }
  std::sort(second_forms_.begin(), second_forms_.end(),
            [](const SecondForm& a, const SecondForm& b) { return a.line < b.line; });
  for (auto& form : second_forms_) {
    if (taken != nullptr && !taken->insert(case_fold(form.domain)).second) continue;
    lines.push_back(std::move(form.line));
    ++file_.entries;
  }
  file_.entries -= not_carried.size();

  // A tab sorts before every octet of an address, so the order of lines is that of addresses.
  std::sort(lines.begin(), lines.end());
  file_.bytes.resize(group_);
  for (const auto& line : lines) file_.bytes += line;
  second_forms_.clear();
  end_plain_group();
  return not_carried;
}

void TableFile::end_plain_group() {
  group_ = file_.bytes.size();
  if (group_ - hashed_ >= hash_step) hash_up_to(group_);
}

File TableFile::finish() {
  hash_up_to(file_.bytes.size());
  file_.digest = hash_.finish();
  return std::move(file_);
}

void TableFile::hash_up_to(std::size_t end) {
  hash_.update(std::string_view(file_.bytes).substr(hashed_, end - hashed_));
  hashed_ = end;
  if (!digest_only_ || end < file_.bytes.size()) return;
  file_.bytes.clear();
  hashed_ = group_ = 0;
}

const std::string& TableFile::unicode_domain_of(std::string_view domain) {
  const auto [entry, added] = unicode_domains_.try_emplace(std::string(domain));
  if (added) entry->second = unicode_domain(entry->first);
  return entry->second;
}

}  // namespace rcptsync::recipient

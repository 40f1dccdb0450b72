#include "recipient/rules.hpp"

#include <fmt/format.h>
#include <idn2.h>
#include <unistring/version.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/escape.hpp"
#include "recipient/address.hpp"
#include "recipient/exclusions.hpp"

namespace rcptsync::recipient {
namespace {

// Raised when the grammar or the folding of this room changes what judge() answers.
constexpr int grammar_version = 1;

// A reply is ASCII on the wire and one line in the access table.
bool is_reply_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

Error refused(const config::StaticEntry& entry, std::string_view what) {
  return {Errc::invalid,
          fmt::format("line {}: recipients.{}: {}: {}", entry.line,
                      entry.from_always ? "always" : "static", escape(entry.address), what)};
}

Result<std::vector<std::string>> compile_domains(const std::vector<std::string>& written) {
  std::vector<std::string> domains;
  for (const auto& text : written) {
    auto domain = canonical_domain(text);
    if (domain.empty())
      return Error{Errc::invalid,
                   fmt::format("recipients.domains: {}: not a mail domain", escape(text))};
    domains.push_back(std::move(domain));
  }
  std::sort(domains.begin(), domains.end());
  domains.erase(std::unique(domains.begin(), domains.end()), domains.end());
  return domains;
}

Result<std::string> canonical_entry(const config::StaticEntry& entry) {
  if (entry.address.starts_with('@')) {
    const auto domain = canonical_domain(std::string_view(entry.address).substr(1));
    if (domain.empty()) return refused(entry, "not a mail domain after the @");
    if (!entry.reject.empty())
      return refused(entry, "a whole domain cannot have a reject text: access(5) has no such key");
    return '@' + domain;
  }
  auto parsed = parse_address(entry.address);
  if (parsed.drop != Drop::kept) return refused(entry, to_string(parsed.drop));
  return std::move(parsed.canonical);
}

// Each address once: a reject text beats acceptance, else the entry that stands first stays.
Result<std::vector<Entry>> compile_entries(const std::vector<config::StaticEntry>& written) {
  std::map<std::string, Entry> by_address;
  for (const auto& entry : written) {
    if (!is_reply_text(entry.reject))
      return refused(entry, "the reject text is not printable ASCII");
    auto address = canonical_entry(entry);
    if (!address) return address.error();
    Entry made{*address, entry.reject, entry.from_always, entry.line};
    const auto [stands, added] = by_address.try_emplace(std::move(*address), made);
    if (!added && stands->second.reject.empty() && !made.reject.empty())
      stands->second = std::move(made);
  }
  std::vector<Entry> entries;
  entries.reserve(by_address.size());
  for (auto& [address, entry] : by_address) entries.push_back(std::move(entry));
  return entries;
}

// Fields with their lengths, so that no two contents give the same bytes.
class Fingerprint {
 public:
  void add(std::string_view field) { hash_.update(fmt::format("{}:{},", field.size(), field)); }
  template <class Range>
  void add_all(std::string_view name, const Range& fields) {
    add(name);
    add(std::to_string(fields.size()));
    for (const auto& field : fields) add(field);
  }
  Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

}  // namespace

struct Rules::Compiled {
  Exclusions exclusions;
  std::vector<std::string> domains;  // sorted
  std::set<std::string, std::less<>> domain_set;
  std::vector<Entry> entries;
  Digest fingerprint;
};

Rules::Rules(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
Rules::Rules(Rules&&) noexcept = default;
Rules& Rules::operator=(Rules&&) noexcept = default;
Rules::~Rules() = default;

Result<Rules> Rules::compile(const config::Recipients& recipients) {
  auto exclusions = Exclusions::compile(recipients.exclude);
  if (!exclusions) return exclusions.error();
  auto domains = compile_domains(recipients.domains);
  if (!domains) return domains.error();
  auto entries = compile_entries(recipients.entries);
  if (!entries) return entries.error();

  Fingerprint fingerprint;
  fingerprint.add(grammar());
  fingerprint.add_all("domains", *domains);
  fingerprint.add_all("exclude", exclusions->content());
  fingerprint.add("entries");
  for (const auto& entry : *entries) {
    fingerprint.add(entry.address);
    fingerprint.add(entry.reject);
    fingerprint.add(entry.from_always ? "always" : "static");
  }

  std::set<std::string, std::less<>> domain_set(domains->begin(), domains->end());
  return Rules(std::make_unique<Compiled>(Compiled{std::move(*exclusions), std::move(*domains),
                                                   std::move(domain_set), std::move(*entries),
                                                   fingerprint.finish()}));
}

Drop Rules::judge(std::string_view canonical, std::uint32_t* rule_line) const {
  if (rule_line) *rule_line = 0;
  if (!compiled_->domains.empty() && !compiled_->domain_set.contains(domain_of(canonical)))
    return Drop::other_domain;
  const auto line = compiled_->exclusions.find(canonical);
  if (!line) return Drop::kept;
  if (rule_line) *rule_line = *line;
  return Drop::excluded;
}

std::vector<Judged> Rules::judge(const Object& object) const {
  std::vector<Judged> all;
  all.reserve(object.values.size());
  for (const auto& value : object.values) {
    auto parsed = parse_address(without_prefix(value.text));
    Judged judged{value.attribute, value.text,  std::move(parsed.canonical),
                  value.reject,    parsed.drop, 0};
    if (judged.drop == Drop::kept) judged.drop = object.drop;
    if (judged.drop == Drop::kept) judged.drop = judge(judged.canonical, &judged.rule_line);
    // A reject text that cannot stand in a table: the value counts as not there.
    if (judged.drop == Drop::kept && !is_reply_text(value.reject)) judged.drop = Drop::control;
    all.push_back(std::move(judged));
  }
  return all;
}

const std::vector<Entry>& Rules::entries() const {
  return compiled_->entries;
}
const std::vector<std::string>& Rules::domains() const {
  return compiled_->domains;
}
std::string grammar() {
  return fmt::format("{} {} {}", grammar_version, idn2_check_version(nullptr),
                     _libunistring_version);
}

const Digest& Rules::fingerprint() const {
  return compiled_->fingerprint;
}

}  // namespace rcptsync::recipient

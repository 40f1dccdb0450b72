#include "recipient/table.hpp"

#include <algorithm>
#include <unordered_set>

#include "recipient/address.hpp"
#include "recipient/table_file.hpp"

namespace rcptsync::recipient {
namespace {

constexpr std::size_t sample_limit = 100;

bool is_postfix(config::Format format) {
  return format == config::Format::postfix || format == config::Format::postfix_access;
}

// The last check before bytes are made, whoever filled the store: no row may end its line early,
// continue the line before, or split into two columns.
bool is_safe_key(std::string_view address) {
  const auto at = address.rfind('@');
  if (at == std::string_view::npos || at + 1 == address.size()) return false;
  const bool quoted = address.front() == '"';
  return std::all_of(address.begin(), address.end(), [quoted](char c) {
    return static_cast<unsigned char>(c) > ' ' ? c != '\x7f' : c == ' ' && quoted;
  });
}

bool is_safe_text(std::string_view text) {
  return text.find_first_not_of(' ') != std::string_view::npos &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

// postmap takes a line that begins with '#' for a comment and says nothing; smtpd asks for `#x@…`
// without quotes even if the client sent `"#x"@…`, so that no other spelling of the key helps.
// All else that the grammar lets through is carried (tests/integration/test_address_property.py).
// With its default settings smtpd refuses some of it before it asks a table: `-x@…`
// (allow_min_user), and from strangers `x%y@…`, `x!y@…` and `"x@y"@…` (allow_untrusted_routing).
bool format_carries(config::Format format, std::string_view address) {
  return !is_postfix(format) || address.front() != '#';
}

class DomainFilter {
 public:
  explicit DomainFilter(const std::vector<std::string>& domains)
      : domains_(domains.begin(), domains.end()) {}

  bool passes(std::string_view address) {
    if (domains_.empty()) return true;
    const auto domain = domain_of(address);
    if (domain == last_domain_) return last_answer_;
    last_domain_ = domain;
    return last_answer_ = domains_.contains(last_domain_);
  }

 private:
  std::unordered_set<std::string> domains_;
  std::string last_domain_;
  bool last_answer_ = false;
};

// The two files of a target while rows come in.
class Builder {
 public:
  explicit Builder(const TableSettings& settings)
      : settings_(settings),
        postfix_(is_postfix(settings.format)),
        filter_(settings.domains),
        recipients_(settings.digest_only),
        access_(settings.digest_only) {
    tables_.has_access = settings.with_access && postfix_;
  }

  void add(const Row& row) {
    if (!filter_.passes(row.address)) return;
    const bool rejected = !row.reject.empty();
    if (rejected && !tables_.has_access) return;
    if (!is_safe_key(row.address) || (rejected && !is_safe_text(row.reject)) ||
        !format_carries(settings_.format, row.address))
      return not_carried(row.address);

    const auto prefix = row.address.substr(0, row.address.rfind('@') + 1);
    if (prefix != prefix_) {
      end_group();
      prefix_ = prefix;
    }
    if (!rejected)
      recipients_.add(row.address, postfix_ ? "OK" : std::string_view());
    else if (!row.address.starts_with('@'))  // access(5) has no key `@domain`
      access_.add(row.address, row.reject);
  }

  Tables finish() {
    end_group();
    tables_.recipients = recipients_.finish();
    tables_.access = access_.finish();
    return std::move(tables_);
  }

 private:
  // Postfix folds ß to ss and ς to σ in keys, also in those of a domain, so that `a@straße.example`
  // and `a@strasse.example` are one key. In one file that would be a duplicate; between the two, a
  // reject text for one would hit the other. So each key stands once, that of an accepted address
  // before that of a rejected one: the wrong answer is then an acceptance, never a rejection.
  void end_group() {
    if (!recipients_.has_second_forms() && !access_.has_second_forms()) {
      recipients_.end_plain_group();
      access_.end_plain_group();
      return;
    }
    Keys keys;
    recipients_.end_group(postfix_ ? &keys : nullptr);
    for (const auto& address : access_.end_group(&keys)) not_carried(address);
  }

  void not_carried(std::string_view address) {
    ++tables_.not_carried;
    if (tables_.not_carried_sample.size() < sample_limit)
      tables_.not_carried_sample.emplace_back(address);
  }

  const TableSettings& settings_;
  bool postfix_;
  DomainFilter filter_;
  TableFile recipients_;
  TableFile access_;
  std::string prefix_;  ///< `local@` of the present group
  Tables tables_;
};

}  // namespace

Tables make_tables(const RowStream& rows, const TableSettings& settings) {
  Builder builder(settings);
  rows([&builder](const Row& row) { builder.add(row); });
  return builder.finish();
}

bool supported(config::Format format) {
  return format == config::Format::postfix || format == config::Format::list;
}

}  // namespace rcptsync::recipient

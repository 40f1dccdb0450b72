#include "recipient/exclusions.hpp"

#include <fmt/format.h>
#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>

#include "base/escape.hpp"
#include "recipient/address.hpp"

namespace rcptsync::recipient {
namespace {

Error refused(const config::Exclusion& exclusion, std::string_view what) {
  return {Errc::invalid, fmt::format("{}:{}: recipients.exclude: {}: {}", exclusion.file,
                                     exclusion.line, escape(exclusion.text), what)};
}

RE2::Options options() {
  RE2::Options made;
  made.set_case_sensitive(false);
  made.set_log_errors(false);
  return made;
}

}  // namespace

// RE2 matches in linear time, so no expression and no address can stall a poll.
class Exclusions::Expressions {
 public:
  /// Empty, or what is wrong with the expression.
  std::string add(const std::string& text, std::uint32_t line) {
    auto single = std::make_unique<RE2>(text, options());
    if (!single->ok()) return single->error();
    set_.Add(text, nullptr);
    singles_.emplace_back(std::move(single), line);
    return {};
  }

  void compile() { set_compiled_ = set_.Compile(); }

  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view text) const {
    if (singles_.empty() || !may_match(text)) return std::nullopt;
    for (const auto& [single, line] : singles_)
      if (RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *single)) return line;
    return std::nullopt;
  }

  [[nodiscard]] const auto& singles() const { return singles_; }

 private:
  // One pass over the text for all expressions. The set's automaton can run out of its memory; then
  // the expressions are tried one by one, which cannot.
  [[nodiscard]] bool may_match(std::string_view text) const {
    if (!set_compiled_) return true;
    RE2::Set::ErrorInfo error{};
    return set_.Match(re2::StringPiece(text.data(), text.size()), nullptr, &error) ||
           error.kind != RE2::Set::kNoError;
  }

  std::vector<std::pair<std::unique_ptr<RE2>, std::uint32_t>> singles_;
  RE2::Set set_{options(), RE2::UNANCHORED};
  bool set_compiled_ = false;
};

Exclusions::Exclusions() : expressions_(std::make_unique<Expressions>()) {}
Exclusions::Exclusions(Exclusions&&) noexcept = default;
Exclusions& Exclusions::operator=(Exclusions&&) noexcept = default;
Exclusions::~Exclusions() = default;

Result<Exclusions> Exclusions::compile(const std::vector<config::Exclusion>& exclusions) {
  Exclusions made;
  for (const auto& exclusion : exclusions) {
    const auto line = static_cast<std::uint32_t>(std::max(exclusion.line, 0));
    switch (exclusion.kind) {
      case config::Exclusion::Kind::address: {
        auto parsed = parse_address(exclusion.text);
        if (parsed.drop != Drop::kept) return refused(exclusion, to_string(parsed.drop));
        made.addresses_.try_emplace(std::move(parsed.canonical), line);
        break;
      }
      case config::Exclusion::Kind::domain: {
        auto domain = canonical_domain(exclusion.text);
        if (domain.empty()) return refused(exclusion, "not a mail domain");
        made.domains_.try_emplace(std::move(domain), line);
        break;
      }
      case config::Exclusion::Kind::regex:
        if (const auto error = made.expressions_->add(exclusion.text, line); !error.empty())
          return refused(exclusion, fmt::format("not a regular expression (RE2): {}", error));
        break;
    }
  }
  made.expressions_->compile();
  return made;
}

std::optional<std::uint32_t> Exclusions::find(std::string_view canonical) const {
  if (const auto found = addresses_.find(canonical); found != addresses_.end())
    return found->second;
  const auto domain = domain_of(canonical);
  if (const auto found = domains_.find(domain); found != domains_.end()) return found->second;
  if (const auto line = expressions_->find(canonical)) return line;
  if (expressions_->singles().empty() || domain.find("xn--") == std::string_view::npos)
    return std::nullopt;
  const auto unicode = unicode_domain(domain);
  if (unicode == domain) return std::nullopt;
  return expressions_->find(std::string(local_of(canonical)) + '@' + unicode);
}

std::vector<std::string> Exclusions::content() const {
  std::vector<std::string> all;
  for (const auto& [address, line] : addresses_) all.push_back("address " + address);
  for (const auto& [domain, line] : domains_) all.push_back("domain " + domain);
  for (const auto& [single, line] : expressions_->singles())
    all.push_back("regex " + single->pattern());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace rcptsync::recipient

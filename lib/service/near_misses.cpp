#include "service/near_misses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "recipient/address.hpp"

namespace rcptsync::service {
namespace {

using NearMiss = WhyReport::NearMiss;
using How = NearMiss::How;

// A look-up is some microseconds, and a person waits for the answer.
constexpr std::size_t most_look_ups = 3000;
// What people mistype in local parts, by how common it is in names.
constexpr std::string_view letters = "eaionrtslcudpmhgbfywkvxzjq.-_0123456789";

/// The characters of UTF-8 text.
std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> list;
  while (!text.empty()) {
    std::size_t size = 1;
    // The bytes of a character after its first one are 10xxxxxx.
    while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) ++size;
    list.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return list;
}

class Search {
 public:
  Search(store::View& view, std::string_view address)
      : view_(view), local_(recipient::local_of(address)), domain_(recipient::domain_of(address)) {}

  Result<std::vector<NearMiss>> run(const std::set<std::string>& domains) {
    for (const auto& domain : domains)
      if (one_edit_apart(domain, domain_)) look_up(local_, domain, How::domain_typo);
    change_local_part();
    for (const auto& domain : domains)
      if (!one_edit_apart(domain, domain_)) look_up(local_, domain, How::other_domain);
    if (!failure_) return failure_.error();
    return std::move(found_);
  }

 private:
  [[nodiscard]] bool over() const {
    return !failure_ || found_.size() == most_near_misses || looked_up_ == most_look_ups;
  }

  void look_up(std::string_view local, std::string_view domain, How how) {
    if (over() || local.empty()) return;
    auto address = fmt::format("{}@{}", local, domain);
    if (address == asked() || !tried_.insert(address).second) return;
    ++looked_up_;
    const auto row = view_.recipient(address);
    if (!row)
      failure_ = row.error();
    else if (*row && (*row)->reject.empty())
      found_.push_back({std::move(address), how});
  }

  [[nodiscard]] std::string asked() const { return fmt::format("{}@{}", local_, domain_); }

  // The rare mistakes with many possibilities come last, so that the others are always tried.
  void change_local_part() {
    const auto parts = characters(local_);
    const auto joined = [&](std::size_t from, std::size_t to) {
      std::string text;
      for (auto i = from; i < to; ++i) text += parts[i];
      return text;
    };
    const auto try_it = [&](const std::string& local) { look_up(local, domain_, How::local_typo); };
    const auto count = parts.size();
    for (std::size_t i = 0; i + 1 < count; ++i)
      try_it(joined(0, i) + std::string(parts[i + 1]) + std::string(parts[i]) +
             joined(i + 2, count));
    for (std::size_t i = 0; i < count; ++i) try_it(joined(0, i) + joined(i + 1, count));
    for (const char letter : letters)
      for (std::size_t i = 0; i < count && !over(); ++i)
        try_it(joined(0, i) + letter + joined(i + 1, count));
    for (const char letter : letters)
      for (std::size_t i = 0; i <= count && !over(); ++i)
        try_it(joined(0, i) + letter + joined(i, count));
  }

  store::View& view_;
  std::string_view local_, domain_;
  std::set<std::string> tried_;
  std::size_t looked_up_ = 0;
  std::vector<NearMiss> found_;
  Result<> failure_;
};

}  // namespace

bool one_edit_apart(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > 1 || a == b) return false;
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin());
  const auto from = static_cast<std::size_t>(left - a.begin());
  const auto rest_a = a.substr(from), rest_b = b.substr(from);
  if (a.size() < b.size()) return rest_a == rest_b.substr(1);
  if (rest_a.substr(1) == rest_b.substr(1)) return true;
  return rest_a.size() > 1 && rest_a[0] == rest_b[1] && rest_a[1] == rest_b[0] &&
         rest_a.substr(2) == rest_b.substr(2);
}

Result<std::vector<NearMiss>> near_misses(store::View& view, const config::Recipients& recipients,
                                          std::string_view address) {
  const auto stored = view.domains();
  if (!stored) return stored.error();
  std::set<std::string> domains;
  for (const auto& [name, record] : *stored) domains.insert(name);
  for (const auto& name : recipients.domains) domains.insert(recipient::canonical_domain(name));
  domains.erase(std::string(recipient::domain_of(address)));
  return Search(view, address).run(domains);
}

}  // namespace rcptsync::service

// The sections `guard` and `removal`: what may leave the table, and how.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/escape.hpp"
#include "config/mailbox.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

// Only said where it is certain: an internationalised domain may be written in two ways.
bool surely_other_domain(std::string_view address, const std::vector<std::string>& domains) {
  const auto domain = address.substr(address.rfind('@') + 1);
  const auto plain = [](std::string_view text) {
    return text.find("xn--") == std::string_view::npos &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
  };
  return plain(domain) && !domains.empty() &&
         std::none_of(domains.begin(), domains.end(),
                      [&](const std::string& other) { return ascii_equal(domain, other); });
}

}  // namespace

void read_guard(const Value& value, const Recipients& recipients, Guard& guard) {
  Map map(value);
  map.read("max_removals", guard.max_removals, count<std::uint64_t>());
  map.read("max_removal_percent", guard.max_removal_percent, percent);
  map.read("min_recipients", guard.min_recipients, count<std::uint64_t>());
  map.read_list("canaries", guard.canaries, 1000, [&](const Value& item) {
    auto canary = checked(item, check_address);
    if (canary && surely_other_domain(*canary, recipients.domains))
      item.warning(fmt::format("{} is in none of recipients.domains and can never be seen",
                               escape(*canary, 80)));
    return canary;
  });
  map.finish();
}

void read_removal(const Value& value, Removal& removal) {
  using Answer = Removal::Answer;
  Map map(value);
  map.read("grace", removal.grace, duration(Seconds{0}, 3660 * day));
  map.read("answer", removal.answer,
           choice<Answer, 2>({"keep", "defer"}, {Answer::keep, Answer::defer}));
  map.finish();
}

}  // namespace rcptsync::config

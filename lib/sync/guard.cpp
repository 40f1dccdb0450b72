#include "sync/guard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "base/escape.hpp"

namespace rcptsync::sync {
namespace {

/// A share and the vanishing of a part mean nothing below this many removals.
constexpr std::uint64_t share_floor = 10;
/// The share of a part smaller than this is not looked at: one leaver would be 5 %.
constexpr std::uint64_t part_floor = 20;
/// So many names stand in a reason; a person reads it in one line of the journal.
constexpr std::size_t names_shown = 20;

/// Wide enough for any product of two counts; std has no such type.
__extension__ using Wide = unsigned __int128;

/// True if `part` is more than `percent` of `whole`; an equal share is not more. The limit is taken
/// as the decimal number that stands in the configuration (to a millionth), because 0.3 as a binary
/// fraction is a little less than 0.3 and would hold a change of exactly 0.3 %.
bool exceeds(std::uint64_t part, std::uint64_t whole, double percent) {
  constexpr unsigned scale = 1'000'000;
  const auto limit = static_cast<std::uint64_t>(std::llround(percent * scale));
  return Wide{part} * 100 * scale > Wide{limit} * whole;
}

/// A share in percent that exceeds `limit`, with as many decimals as it takes to see that.
std::string share_text(std::uint64_t part, std::uint64_t whole, double limit) {
  const double share =
      whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  std::string text;
  for (int decimals = 1; decimals <= 9; ++decimals) {
    text = fmt::format("{:.{}f}", share, decimals);
    if (std::strtod(text.c_str(), nullptr) > limit) break;
  }
  return text;
}

/// `a, b, c and 5 more`
std::string names(std::span<const std::string> all) {
  std::string text;
  for (const auto& name : all.first(std::min(all.size(), names_shown))) {
    if (!text.empty()) text += ", ";
    text += escape(name);
  }
  if (all.size() > names_shown) text += fmt::format(" and {} more", all.size() - names_shown);
  return text;
}

/// Reasons are joined by "; ", so none may hold one.
std::string without_semicolons(std::string_view text) {
  auto escaped = escape(text);
  std::ranges::replace(escaped, ';', ',');
  return escaped;
}

std::string_view plural(std::size_t count) {
  return count == 1 ? "" : "s";
}

/// The judge's notes: one call for each rule.
class Reasons {
 public:
  Reasons(const config::Guard& settings, const GuardInput& input)
      : settings_(settings),
        input_(input),
        counted_(static_cast<std::uint64_t>(
            std::ranges::count(input.removals, false, &RemovalCandidate::expired))) {}

  /// How many candidates the limits count.
  [[nodiscard]] std::uint64_t counted() const { return counted_; }
  [[nodiscard]] bool empty() const { return reasons_.empty(); }

  void unread_sources() {
    if (const auto& sources = input_.unread_sources; !sources.empty())
      add("source{} not read completely yet: {}", plural(sources.size()), names(sources));
  }

  void unhealthy_sources() {
    if (const auto& sources = input_.unhealthy_sources; !sources.empty())
      add("removals wait for source{} whose last read failed: {}", plural(sources.size()),
          names(sources));
  }

  void unconfirmed_sources() {
    if (const auto& sources = input_.unconfirmed_sources; !sources.empty())
      add("removals wait for a second read of source{} that changed the server: {}",
          plural(sources.size()), names(sources));
  }

  void behind_sources() {
    const auto& sources = input_.behind_sources;
    if (sources.empty()) return;
    std::string text;
    for (const auto& source : sources.first(std::min(sources.size(), names_shown)))
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", escape(source.name),
                          without_semicolons(source.why));
    if (sources.size() > names_shown)
      text += fmt::format(" and {} more", sources.size() - names_shown);
    add("removals wait until source{} {} behind: {}", plural(sources.size()),
        sources.size() == 1 ? "is no longer" : "are no longer", text);
  }

  void canaries_absent() {
    if (const auto& missing = input_.canaries_absent; !missing.empty())
      add("no source supplies guard.canaries {}", names(missing));
  }

  void canaries_lost() {
    if (const auto& lost = input_.canaries_lost; !lost.empty())
      add("guard.canaries {} would be lost", names(lost));
  }

  void min_recipients() {
    if (const auto count = input_.supply_after; count < settings_.min_recipients)
      add("{} recipient{} would be supplied, fewer than guard.min_recipients ({})", count,
          plural(count), settings_.min_recipients);
  }

  void max_removals() {
    if (counted_ > settings_.max_removals)
      add("{} removal{} more than guard.max_removals ({})", counted_,
          counted_ == 1 ? " is" : "s are", settings_.max_removals);
  }

  void max_removal_percent() {
    if (counted_ >= share_floor &&
        exceeds(counted_, input_.accepted, settings_.max_removal_percent))
      add("{} of all {} recipients would go ({} %), more than guard.max_removal_percent ({})",
          counted_, input_.accepted,
          share_text(counted_, input_.accepted, settings_.max_removal_percent),
          settings_.max_removal_percent);
    share_of_each(input_.domains, "", "domains");
    share_of_each(input_.sources, "source ", "sources");
  }

  /// Instead of the share, where both would be said of one part.
  void vanishing_parts() {
    vanishing(input_.domains, "", "domain", "domains");
    vanishing(input_.sources, "source ", "source", "sources");
    for (const auto& part : input_.classes)
      if (vanishes(part))
        add("all {} recipients of class {}{} would go; a class that vanishes is held from {} "
            "removals on",
            part.removals, escape(part.name), that_sources_supply(part), share_floor);
  }

  /// No reason of its own: it says where to look.
  void by_configuration() {
    if (!reasons_.empty() && input_.by_configuration > 0)
      add("{} of them by a change of the configuration", input_.by_configuration);
  }

  std::vector<std::string> take() { return std::move(reasons_); }

 private:
  template <class... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    reasons_.push_back(fmt::format(format, std::forward<Arguments>(arguments)...));
  }

  static bool vanishes(const Part& part) {
    return part.removals >= share_floor && part.removals + part.unsupplied >= part.accepted;
  }

  /// Where others stay.
  static std::string_view that_sources_supply(const Part& part) {
    return part.removals < part.accepted ? " that sources supply" : "";
  }

  void share_of_each(std::span<const Part> parts, std::string_view what, std::string_view plural) {
    for_each_part(
        parts,
        [this](const Part& part) {
          return !vanishes(part) && part.accepted >= part_floor && part.removals >= share_floor &&
                 exceeds(part.removals, part.accepted, settings_.max_removal_percent);
        },
        [&](const Part& part) {
          add("{}{} loses {} of {} recipients ({} %), more than guard.max_removal_percent ({})",
              what, escape(part.name), part.removals, part.accepted,
              share_text(part.removals, part.accepted, settings_.max_removal_percent),
              settings_.max_removal_percent);
        },
        fmt::format("{} lose more than guard.max_removal_percent", plural));
  }

  void vanishing(std::span<const Part> parts, std::string_view what, std::string_view singular,
                 std::string_view plural) {
    for_each_part(
        parts, &vanishes,
        [&](const Part& part) {
          add("{}{} loses all {} recipients{}; a {} that vanishes is held from {} removals on",
              what, escape(part.name), part.removals, that_sources_supply(part), singular,
              share_floor);
        },
        fmt::format("{} lose all recipients", plural));
  }

  /// Reports the parts that `guilty` selects, those that lose most first, the rest as a number.
  template <class Guilty, class Report>
  void for_each_part(std::span<const Part> parts, Guilty guilty, Report report,
                     std::string_view what_the_rest_do) {
    std::vector<const Part*> found;
    for (const auto& part : parts)
      if (guilty(part)) found.push_back(&part);
    std::ranges::stable_sort(found, std::ranges::greater{}, &Part::removals);
    for (const auto* part : std::span(found).first(std::min(found.size(), names_shown)))
      report(*part);
    if (found.size() > names_shown)
      add("and {} more {}", found.size() - names_shown, what_the_rest_do);
  }

  const config::Guard& settings_;
  const GuardInput& input_;
  std::uint64_t counted_;
  std::vector<std::string> reasons_;
};

}  // namespace

GuardVerdict judge(const config::Guard& settings, const GuardInput& input) {
  using Action = GuardVerdict::Action;
  GuardVerdict verdict;
  Reasons reasons(settings, input);
  if (input.first_table) {
    reasons.unread_sources();
    reasons.unconfirmed_sources();
    reasons.behind_sources();
    reasons.canaries_absent();
    reasons.min_recipients();
    if (!reasons.empty()) verdict.action = Action::hold_all;
  } else if (!input.removals.empty()) {
    reasons.unread_sources();
    reasons.unhealthy_sources();
    reasons.unconfirmed_sources();
    reasons.behind_sources();
    if (!reasons.empty()) verdict.action = Action::hold_every_removal;
    if (reasons.counted() > 0) {
      reasons.canaries_lost();
      reasons.min_recipients();
      reasons.max_removals();
      reasons.max_removal_percent();
      reasons.vanishing_parts();
      reasons.by_configuration();
      if (!reasons.empty() && verdict.action == Action::publish)
        verdict.action = Action::hold_removals;
    }
  }
  verdict.reasons = reasons.take();
  std::vector<RemovalCandidate> held;
  std::ranges::copy_if(input.removals, std::back_inserter(held),
                       [&](const auto& removal) { return verdict.holds(removal); });
  if (!held.empty()) verdict.digest = removal_digest(held);
  return verdict;
}

Digest removal_digest(std::span<const RemovalCandidate> removals) {
  Sha256 hash;
  for (const auto& removal : removals) {
    hash.update(removal.address);
    if (!removal.reject.empty()) {
      hash.update("\t");
      hash.update(removal.reject);
    }
    hash.update("\n");
  }
  return hash.finish();
}

}  // namespace rcptsync::sync

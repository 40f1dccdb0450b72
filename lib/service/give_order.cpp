#include "service/give_order.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ostream>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/find_difference.hpp"

namespace rcptsync::service {
namespace {

using Kind = Command::Kind;

constexpr std::size_t fewest_digits = 12;
constexpr std::size_t listed_here = 10;

/// Something that waits for a person's word, or got a no, by its digest.
struct Waiting {
  enum class Kind { removals, first_table, refusal };
  Kind kind = Kind::removals;
  Digest digest;
  std::string what;    ///< `12 removals that are held`
  std::string target;  ///< whose first table it is
};

Result<std::vector<Waiting>> waiting_for_word(store::View& view) {
  std::vector<Waiting> all;
  const auto hold = view.hold();
  if (!hold) return hold.error();
  if (*hold)
    all.push_back({Waiting::Kind::removals,
                   (*hold)->digest,
                   (*hold)->removed == 0
                       ? fmt::format("first table, {}", counted((*hold)->added, "recipient"))
                       : fmt::format("{} held", counted((*hold)->removed, "removal")),
                   {}});
  const auto targets = view.targets();
  if (!targets) return targets.error();
  for (const auto& target : *targets)
    if (target.hold)
      all.push_back({Waiting::Kind::first_table, target.hold->digest,
                     fmt::format("first table of {}, {}", escape(target.name),
                                 counted(target.hold->removed, "removal")),
                     target.name});
  const auto refusals = view.refusals();
  if (!refusals) return refusals.error();
  for (const auto& refusal : *refusals)
    all.push_back(
        {Waiting::Kind::refusal,
         refusal.digest,
         fmt::format("{} refused by {}", counted(refusal.count, "removal"), escape(refusal.by)),
         {}});
  return all;
}

std::string listed(const std::vector<Waiting>& all) {
  std::string text;
  for (const auto& one : all)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", one.digest.hex(), one.what);
  return text.empty() ? "nothing is held or refused now" : "there is: " + text;
}

Result<std::string> digits_of(std::string_view typed) {
  std::string digits(typed);
  std::transform(digits.begin(), digits.end(), digits.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const bool plain = digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!plain || digits.size() < fewest_digits || digits.size() > Digest().hex().size())
    return Error{Errc::invalid,
                 fmt::format("{} is no digest: write its 64 hexadecimal digits as status shows "
                             "them, or at least the first {}",
                             escape(typed, 80), fewest_digits)};
  return digits;
}

Result<Waiting> find_waiting(store::View& view, const std::string& typed) {
  const auto digits = digits_of(typed);
  if (!digits) return digits.error();
  const auto all = waiting_for_word(view);
  if (!all) return all.error();
  std::vector<Waiting> fitting;
  for (const auto& one : *all)
    if (one.digest.hex().starts_with(*digits)) fitting.push_back(one);
  if (fitting.empty())
    return Error{Errc::not_found, fmt::format("{} names nothing that is held or refused; {}",
                                              *digits, listed(*all))};
  const bool one_digest = std::all_of(fitting.begin(), fitting.end(), [&](const Waiting& one) {
    return one.digest == fitting.front().digest;
  });
  if (!one_digest)
    return Error{Errc::invalid,
                 fmt::format("{} names more than one; {}", *digits, listed(fitting))};
  return fitting.front();
}

Result<> name_removals(const Command& command, store::View& view, Order& order, std::ostream& out) {
  const auto meta = view.meta();
  if (!meta) return meta.error();
  if (meta->pinned != 0)
    return Error{Errc::busy, fmt::format("generation {} is pinned by a rollback, and nothing is "
                                         "held meanwhile; `rcptsyncctl resync` ends the pin",
                                         meta->pinned)};
  auto found = find_waiting(view, command.digest);
  if (!found) return found.error();
  if (command.kind == Kind::reject && found->kind == Waiting::Kind::first_table)
    return Error{Errc::invalid,
                 fmt::format("{} is the {}: it stays held and the target keeps its table until it "
                             "is approved; there is nothing to refuse",
                             found->digest.brief(), found->what)};
  if (command.kind == Kind::reject && found->kind == Waiting::Kind::refusal)
    return Error{Errc::invalid,
                 fmt::format("{} is refused already: {}", found->digest.brief(), found->what)};
  order.digest = found->digest;
  order.target = found->target;
  fmt::print(out, "{}: {}, digest {}\n",
             command.kind == Kind::approve ? "To be let through" : "To be kept", found->what,
             found->digest.hex());
  if (found->kind != Waiting::Kind::removals) return {};
  return view.each_held([&](std::string_view address, const store::HeldRecord& held) {
    order.removals.push_back({std::string(address), held.reject});
    return true;
  });
}

Result<> name_generation(const Command& command, store::View& view, Order& order,
                         std::ostream& out) {
  const auto kept = view.generation(command.generation);
  if (!kept) return kept.error();
  if (!*kept || command.generation == 0)
    return Error{Errc::not_found, fmt::format("generation {} is not kept; `rcptsyncctl history` "
                                              "lists those that are",
                                              command.generation)};
  order.generation = command.generation;
  const auto meta = view.meta();
  if (!meta) return meta.error();
  const auto difference =
      find_difference(view, DifferenceQuery{meta->generation, command.generation, {}});
  if (!difference) return difference.error();
  fmt::print(out, "From generation {}, {}, back to {} of {}, {}:\n", meta->generation,
             counted(meta->accepted, "recipient"), command.generation, rfc3339((*kept)->time),
             counted((*kept)->total, "recipient"));
  print_totals(out, totals_of(*difference), {}, command.verbose);
  print_entries(out, *difference, {}, command.verbose);
  fmt::print(out, "It is pinned until `rcptsyncctl resync`.\n");
  return {};
}

Result<> name_targets(const Command& command, const config::Config& config, Order& order) {
  for (const auto& name : command.targets) {
    const auto found = std::find_if(config.targets.begin(), config.targets.end(),
                                    [&](const auto& target) { return target.name == name; });
    if (found == config.targets.end())
      return Error{Errc::not_found, fmt::format("no target is named {}", escape(name))};
    if (!found->enabled)
      return Error{Errc::invalid,
                   fmt::format("{}: enabled: is false in the configuration", escape(name))};
    order.targets.push_back(name);
  }
  return {};
}

Order::Kind kind_of(Kind kind) {
  switch (kind) {
    case Kind::approve:
      return Order::Kind::approve;
    case Kind::reject:
      return Order::Kind::reject;
    case Kind::rollback:
      return Order::Kind::rollback;
    case Kind::resync:
      return Order::Kind::resync;
    case Kind::push:
      return Order::Kind::push;
    default:
      return Order::Kind::poll;
  }
}

// Gateways that held the same old table wait with the same digest, and it was approved for all.
Result<std::vector<std::string>> others_alike(const Order& order, const OperatorContext& context) {
  std::vector<std::string> names;
  if (order.kind != Order::Kind::approve || order.target.empty()) return names;
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    const auto targets = view.targets();
    if (!targets) return targets.error();
    for (const auto& target : *targets)
      if (target.hold && target.hold->digest == order.digest && target.name != order.target)
        names.push_back(target.name);
    return {};
  });
  if (!read) return read.error();
  return names;
}

}  // namespace

Result<Order> make_order(const Command& command, const OperatorContext& context,
                         const std::string& by, std::ostream& out) {
  Order order;
  order.kind = kind_of(command.kind);
  order.id = next_order_id();
  order.by = by;
  order.given = system_clock().wall();
  const bool about_state = command.kind == Kind::approve || command.kind == Kind::reject ||
                           command.kind == Kind::rollback;
  if (auto named = name_targets(command, context.config, order); !named) return named.error();
  if (!about_state) return order;
  if (context.store == nullptr)
    return Error{Errc::not_found, fmt::format("{} holds no state yet: rcptsyncd has not run here",
                                              context.config.state_dir.native())};
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    return command.kind == Kind::rollback ? name_generation(command, view, order, out)
                                          : name_removals(command, view, order, out);
  });
  if (!read) return read.error();
  return order;
}

Result<std::string> give_order(const Command& command, const OperatorContext& context,
                               const std::string& by, std::ostream& out) {
  auto order = make_order(command, context, by, out);
  if (!order) return order.error();
  const auto others = others_alike(*order, context);
  if (!others) return others.error();
  for (const auto& name : *others) {
    auto another = *order;
    another.id = next_order_id();
    another.target = name;
    if (auto saved = save_order(context.config.state_dir, another); !saved) return saved.error();
    fmt::print(out, "The same for {}, whose first table has the same digest\n", escape(name));
  }
  if (auto saved = save_order(context.config.state_dir, *order); !saved) return saved.error();
  return order->id;
}

}  // namespace rcptsync::service

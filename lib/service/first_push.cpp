#include "service/first_push.hpp"

#include <algorithm>
#include <map>

#include "recipient/address.hpp"
#include "recipient/table.hpp"

namespace rcptsync::service {
namespace {

std::vector<std::string> sorted_addresses(std::string_view table, config::Format format) {
  auto addresses = recipient::addresses_in(table, format);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

bool contains(const std::vector<std::string>& sorted, const std::string& address) {
  return std::binary_search(sorted.begin(), sorted.end(), address);
}

}  // namespace

FirstPush judge_first_push(const config::Config& config, config::Format format,
                           std::string_view present, std::string_view next) {
  const auto held = sorted_addresses(present, format);
  const auto wanted = sorted_addresses(next, format);

  std::vector<sync::RemovalCandidate> removals;
  std::map<std::string, sync::Part, std::less<>> counts;
  for (const auto& address : held) {
    const std::string domain(recipient::domain_of(address));
    auto& count = counts[domain];
    count.name = domain;
    ++count.accepted;
    if (contains(wanted, address) || contains(wanted, "@" + domain)) continue;
    ++count.removals;
    removals.push_back({address, {}});
  }
  std::vector<sync::Part> domains;
  for (auto& [name, count] : counts)
    if (count.removals > 0) domains.push_back(count);

  std::vector<std::string> canaries_lost;
  for (const auto& canary : config.guard.canaries) {
    const auto address = recipient::parse_address(canary).canonical;
    const auto wildcard = "@" + std::string(recipient::domain_of(address));
    if (contains(held, address) && !contains(wanted, address) && !contains(wanted, wildcard))
      canaries_lost.push_back(canary);
  }

  sync::GuardInput input;
  input.removals = removals;
  input.accepted = held.size();
  input.domains = domains;
  input.supply_after = wanted.size();
  input.canaries_lost = canaries_lost;
  return {sync::judge(config.guard, input), removals.size(), held.size()};
}

}  // namespace rcptsync::service

// check — what --check can say of a target without a network.
#include <fmt/format.h>

#include "push/host_key.hpp"
#include "push/identity.hpp"
#include "push/known_hosts.hpp"
#include "push/push.hpp"
#include "push/recipe.hpp"

namespace rcptsync::push {
namespace {

constexpr std::size_t most_garbage_lines = 5;

void check_host_key(const config::Target& target, std::vector<std::string>& faults) {
  for (const auto& pin : target.host_keys)
    if (!canonical_pin(pin))
      faults.push_back(fmt::format(
          "host_key: {} is no fingerprint; write it as ssh-keygen -lf prints it: SHA256: "
          "and 43 characters",
          pin));
  const auto file = read_known_hosts(target.known_hosts);
  if (!file) {
    if (target.host_keys.empty() || file.error().code != Errc::not_found)
      faults.push_back("known_hosts: " + file.error().message);
    return;
  }
  for (std::size_t i = 0; i < file->garbage.size() && i < most_garbage_lines; ++i)
    faults.push_back(fmt::format("known_hosts: {}:{}: {}; the line is ignored", target.known_hosts,
                                 file->garbage[i].number, file->garbage[i].why));
  if (file->garbage.size() > most_garbage_lines)
    faults.push_back(fmt::format("known_hosts: {}: {} more lines that cannot be read",
                                 target.known_hosts, file->garbage.size() - most_garbage_lines));
  const HostKeyPolicy policy(target, *file);
  if (target.host_keys.empty() && policy.offer().empty())
    faults.push_back("known_hosts: " + policy.explain().message);
}

}  // namespace

std::vector<std::string> check_target(const config::Target& target) {
  std::vector<std::string> faults;
  for (const auto& ref : target.keys) {
    const auto identity = read_identity(ref, key_support());
    if (!identity) faults.push_back("key_file: " + identity.error().message);
  }
  check_host_key(target, faults);
  if (target.mode == config::Mode::scp && !usable_path(target.path))
    faults.push_back(unusable_path(target.path).message);
  return faults;
}

}  // namespace rcptsync::push

// The sections `targets` and `target_defaults` as lists of machines. One target's own settings:
// target.cpp.
#include <fmt/format.h>

#include <map>
#include <string>
#include <tuple>

#include "config/endpoint.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_targets = 10'000;
constexpr std::size_t max_pins = 16;
constexpr std::string_view default_path = "/var/lib/rcptsync-target/relay_recipients";

// `SHA256:` and 43 base64 digits, as ssh-keygen -l prints it. The last digit holds only four of the
// 256 bits, so most digits cannot stand there.
std::optional<std::string> host_key(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    constexpr std::string_view scheme = "SHA256:";
    constexpr std::string_view last_digits = "AEIMQUYcgkosw048";
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const bool prefixed = text.starts_with(scheme);
    const auto hash = text.substr(prefixed ? scheme.size() : 0);
    if (prefixed && hash.size() == 43 && hash.find_first_not_of(digits) == std::string_view::npos &&
        last_digits.find(hash.back()) != std::string_view::npos)
      return {};
    return Error{Errc::invalid,
                 "is no fingerprint; write SHA256: and 43 characters, as ssh-keygen -l -f "
                 "/etc/ssh/ssh_host_ed25519_key.pub prints it on the target"};
  });
}

void read_defaults(const Value& value, const std::filesystem::path& folder, Target& target) {
  Map map(value);
  read_target_settings(map, folder, target);
  for (const auto* key : {"name", "host", "host_key"})
    map.misplaced(key, "belongs to one target; write it there");
  map.finish();
}

// Two targets that write one file would undo each other's work for ever.
class Places {
 public:
  void claim(const Map& map, const Target& target) {
    if (!target.enabled || target.host.empty() || target.path.empty()) return;
    const auto [first, fresh] =
        taken_.emplace(std::tuple(target.host, target.port, target.user, target.path), target.name);
    if (!fresh)
      map.error(
          fmt::format("writes the same file as {}: same host, port, user and path; change "
                      "one of them",
                      first->second));
  }

 private:
  std::map<std::tuple<std::string, std::uint16_t, std::string, std::string>, std::string> taken_;
};

Target read_target(Map& map, Target target, const std::filesystem::path& folder,
                   std::map<std::string, int>& names) {
  target.line = map.value().line();
  unique_name(map, "mx1", names, target.name);
  map.read_required("host", "mx1.example.net", target.host,
                    [](const Value& value) { return parsed(value, parse_host); });
  read_target_settings(map, folder, target);
  map.read_one_or_list("host_key", target.host_keys, max_pins, host_key);
  map.finish();
  // In receive mode the target's own settings decide.
  if (target.path.empty() && target.mode == Mode::scp) target.path = default_path;
  if (!target.rebuild.empty() && target.mode == Mode::receive)
    map.error("rebuild", "belongs to mode scp; rcptsync-receive does its own rebuild");
  return target;
}

}  // namespace

void read_targets(const Value* defaults, const Value* targets, const std::filesystem::path& folder,
                  std::vector<Target>& into) {
  Target prototype;
  prototype.keys = {{SecretRef::Kind::credential, "ssh-key", 0}};
  if (defaults != nullptr) read_defaults(*defaults, folder, prototype);
  const auto items = targets != nullptr ? targets->list(max_targets) : std::nullopt;
  if (!items) return;
  std::map<std::string, int> names;
  Places places;
  for (const auto& item : *items) {
    Map map(item);
    if (item.node().kind != Node::Kind::map) continue;
    into.push_back(read_target(map, prototype, folder, names));
    places.claim(map, into.back());
  }
}

}  // namespace rcptsync::config

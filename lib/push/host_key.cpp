#include "push/host_key.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "push/base64.hpp"

namespace rcptsync::push {
namespace {

constexpr std::array<std::string_view, 5> types = {
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"};

bool contains(const auto& range, std::string_view text) {
  return std::find(range.begin(), range.end(), text) != range.end();
}

std::string listed(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

}  // namespace

std::span<const std::string_view> host_key_types() {
  return types;
}

std::optional<std::string> canonical_pin(std::string_view pin) {
  constexpr std::string_view prefix = "SHA256:";
  if (!pin.starts_with(prefix)) return std::nullopt;
  while (pin.ends_with('=')) pin.remove_suffix(1);
  const auto digest = base64_decode(std::string(pin.substr(prefix.size())) + "=");
  if (!digest || digest->size() != 32) return std::nullopt;
  return std::string(pin);
}

HostKeyPolicy::HostKeyPolicy(const config::Target& target, const KnownHosts& known_hosts)
    : name_(lookup_name(target.host, target.port)),
      host_(target.host),
      port_(target.port),
      file_(target.known_hosts),
      keys_(keys_of(known_hosts, target.host, target.port)) {
  for (const auto& pin : target.host_keys) pins_.push_back(canonical_pin(pin).value_or(pin));
}

std::vector<std::string> HostKeyPolicy::offer() const {
  std::vector<std::string> offered;
  for (const auto type : types) {
    const bool wanted =
        pins_.empty() ? std::any_of(keys_.known.begin(), keys_.known.end(),
                                    [&](const HostKeys::Key& key) { return key.type == type; })
                      : !contains(tried_, type);
    if (wanted) offered.emplace_back(type);
  }
  return offered;
}

std::string HostKeyPolicy::algorithms(std::span<const std::string> types_to_ask) {
  std::string text;
  for (const auto& type : types_to_ask) {
    if (!text.empty()) text += ',';
    text += type == "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256,ssh-rsa" : type;
  }
  return text;
}

HostKeyPolicy::Verdict HostKeyPolicy::judge(std::string_view raw_key) {
  const std::string type(type_of_key(raw_key));
  const auto shown = fmt::format("{} ({})", fingerprint(raw_key), escape(type, 40));
  const auto is_this = [&](const HostKeys::Key& key) { return key.key == raw_key; };

  if (const auto key = std::find_if(keys_.revoked.begin(), keys_.revoked.end(), is_this);
      key != keys_.revoked.end()) {
    refusal_ = fmt::format(
        "the server uses the host key {}, which {} line {} marks as @revoked: somebody else may "
        "have it; give the server a new host key",
        shown, file_, key->number);
    return Verdict::refused;
  }
  if (!pins_.empty()) {
    if (contains(pins_, fingerprint(raw_key))) return Verdict::trusted;
    seen_.push_back(shown);
    if (contains(tried_, type) || !contains(types, type)) return Verdict::refused;
    tried_.push_back(type);
    return Verdict::another_type;
  }
  if (std::any_of(keys_.known.begin(), keys_.known.end(), is_this)) return Verdict::trusted;
  const auto same_type = std::find_if(keys_.known.begin(), keys_.known.end(),
                                      [&](const HostKeys::Key& key) { return key.type == type; });
  if (same_type != keys_.known.end()) {
    refusal_ = fmt::format(
        "the host key has changed: the server shows {}, but {} line {} has {}. If the server was "
        "set up anew, replace that line (ssh-keygen -R '{}' -f {}); if not, somebody stands "
        "between",
        shown, file_, same_type->number, fingerprint(same_type->key), name_, file_);
  } else {
    refusal_ =
        fmt::format("the server shows the host key {}, which {} does not have", shown, file_);
  }
  return Verdict::refused;
}

void HostKeyPolicy::not_offered(std::span<const std::string> server_has) {
  server_has_.assign(server_has.begin(), server_has.end());
  for (const auto& type : offer()) tried_.push_back(type);
}

Error HostKeyPolicy::explain() const {
  const auto scan = fmt::format("ssh-keyscan -p {} {}", port_, host_);
  if (!refusal_.empty()) return {refusal_code_, refusal_};
  if (!pins_.empty()) {
    return {Errc::untrusted,
            fmt::format(
                "no host key of the server has a pinned fingerprint: it shows {}; host_key: "
                "pins {}",
                seen_.empty() ? "none that can be verified here" : listed(seen_), listed(pins_))};
  }
  if (!keys_.known.empty()) {
    std::vector<std::string> known;
    for (const auto& key : keys_.known)
      if (!contains(known, key.type)) known.push_back(key.type);
    const auto verifiable = offer();
    if (verifiable.empty())
      return {Errc::untrusted,
              fmt::format("{} knows {} by keys of type {} only, which cannot be verified here; add "
                          "its Ed25519 or ECDSA key ({}, compare it, append it)",
                          file_, name_, escape(listed(known)), scan)};
    return {
        Errc::untrusted,
        fmt::format("{} has a host key of type {} for {}, but the server offers {}; add one of "
                    "those ({}, compare it, append it)",
                    file_, escape(listed(known)), name_,
                    server_has_.empty() ? "none of that type" : escape(listed(server_has_)), scan)};
  }
  if (!keys_.authorities.empty())
    return {
        Errc::untrusted,
        fmt::format("{} line {} trusts a certificate authority for {}; host certificates cannot "
                    "be verified here, so add the host's own key as a plain line ({}, compare "
                    "it, append it)",
                    file_, keys_.authorities.front(), name_, scan)};
  return {
      Errc::untrusted,
      fmt::format("the host is unknown: {} has no key for {}; get it with {}, compare its "
                  "fingerprint on the server (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) "
                  "and append it",
                  file_, name_, scan)};
}

Result<HostKeyPolicy> host_key_policy(const config::Target& target) {
  auto known_hosts = read_known_hosts(target.known_hosts);
  if (!known_hosts) {
    if (target.host_keys.empty() || known_hosts.error().code != Errc::not_found) {
      auto error = known_hosts.error();
      error.message += "; it must have the host key of " + target.host;
      return error;
    }
    known_hosts = KnownHosts{};
  }
  return HostKeyPolicy(target, *known_hosts);
}

}  // namespace rcptsync::push

// The settings that a target and target_defaults have in common.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/escape.hpp"
#include "config/endpoint.hpp"
#include "config/mailbox.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_keys = 16;
constexpr std::size_t max_domains = 100'000;

// A path over there: absolute, and a file where `what` says so.
auto remote_path(std::string_view what) {
  return [what](const Value& value) {
    return checked(value, [what](std::string_view text) -> Result<> {
      if (!text.starts_with('/'))
        return Error{Errc::invalid,
                     fmt::format("{} is not absolute; {} is a path on the target and begins with /",
                                 escape(text, 120), what)};
      if (text.ends_with('/'))
        return Error{Errc::invalid,
                     fmt::format("{} ends with /; write {} without it", escape(text, 120), what)};
      if ((std::string(text) + "/").find("/../") != std::string::npos)
        return Error{Errc::invalid,
                     fmt::format("{} goes up with ..; write the straight path", escape(text, 120))};
      return {};
    });
  };
}

// useradd(8) names, and what directories hand out: no blank, no colon, no option.
std::optional<std::string> user(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    const bool allowed = std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '_' || c == '-' || c == '@' || c == '\\' || c == '$';
    });
    if (allowed && text.size() <= 256 && !text.starts_with('-')) return {};
    return Error{Errc::invalid, fmt::format("{} is no account's name; write for example rcptsync",
                                            escape(text, 80))};
  });
}

std::optional<std::string> source_address(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    if (is_ip(text)) return {};
    return Error{Errc::invalid, fmt::format("{} is no IP address of this machine; write for "
                                            "example 192.0.2.7",
                                            escape(text, 80))};
  });
}

void read_verify(const Value& value, Verify& verify) {
  Map map(value);
  HostPort smtp;
  map.read("smtp", smtp, [](const Value& written) {
    return parsed(written, [](std::string_view text) { return parse_host_port(text); });
  });
  if (!smtp.host.empty()) {
    verify.smtp_host = smtp.host;
    verify.smtp_port = smtp.port;
  }
  map.read("sample", verify.sample, count<std::uint32_t>());
  map.read("every", verify.every, duration(Seconds{1}, 366 * day));
  map.finish();
}

}  // namespace

void read_target_settings(Map& map, const std::filesystem::path& folder, Target& target) {
  map.read("user", target.user, user);
  map.read("port", target.port, count<std::uint16_t>(1, 65535));
  map.read_one_or_list("key_file", target.keys, max_keys, secret(folder));
  map.read("known_hosts", target.known_hosts, local_path(folder));
  map.read("enabled", target.enabled, boolean);
  map.read("mode", target.mode, choice_of(Mode::scp, Mode::receive));
  map.read("path", target.path, remote_path("path"));
  map.read("format", target.format,
           choice_of(Format::postfix, Format::postfix_access, Format::exim, Format::sendmail,
                     Format::opensmtpd, Format::list));
  map.read(
      "map_type", target.map_type,
      choice_of(MapType::automatic, MapType::lmdb, MapType::cdb, MapType::hash, MapType::texthash));
  map.read("rebuild", target.rebuild, [](const Value& value) { return value.command(); });
  map.read("postfix_config", target.postfix_config, remote_path("postfix_config"));
  map.read("source_address", target.source_address, source_address);
  map.read_list("domains", target.domains, max_domains,
                [](const Value& item) { return checked(item, check_domain); });
  map.refuse_empty("domains", "the list is empty; leave the key out for all domains");
  if (const auto verify = map.find("verify")) read_verify(*verify, target.verify);
  map.read("timeout", target.timeout, timeout);
}

}  // namespace rcptsync::config

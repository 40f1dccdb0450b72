#include "config/endpoint.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/escape.hpp"
#include "config/scalar.hpp"

namespace rcptsync::config {
namespace {

Error invalid(std::string message) {
  return {Errc::invalid, std::move(message)};
}

bool is_ipv6(std::string_view text) {
  in6_addr address{};
  return text.size() < INET6_ADDRSTRLEN &&
         ::inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

bool is_ipv4(std::string_view text) {
  in_addr address{};
  return text.size() < INET_ADDRSTRLEN &&
         ::inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool is_host_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 253) return false;
  while (!text.empty()) {
    const auto label = text.substr(0, text.find('.'));
    const bool letters = std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_';
    });
    if (!letters || label.empty() || label.size() > 63 || label.front() == '-' ||
        label.back() == '-')
      return false;
    text.remove_prefix(label.size());
    if (!text.empty()) text.remove_prefix(1);
  }
  return true;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_count(text, 1, 65535);
  if (!port) return port.error().within("port");
  return static_cast<std::uint16_t>(*port);
}

}  // namespace

bool is_ip(std::string_view text) {
  return is_ipv4(text) || is_ipv6(text);
}

Result<std::string> parse_host(std::string_view text) {
  if (is_ip(text) || is_host_name(text)) return std::string(text);
  if (text.starts_with('[') && text.ends_with(']') && is_ipv6(text.substr(1, text.size() - 2)))
    return invalid(fmt::format("an IPv6 address stands without brackets here; write \"{}\"",
                               text.substr(1, text.size() - 2)));
  if (const auto colon = text.rfind(':'); colon != std::string_view::npos &&
                                          is_host_name(text.substr(0, colon)) &&
                                          parse_port(text.substr(colon + 1)))
    return invalid(fmt::format("the port stands in a key of its own; write {} and port: {}",
                               text.substr(0, colon), text.substr(colon + 1)));
  return invalid(
      fmt::format("{} is no host; write a host name (an internationalised one as "
                  "xn--…) or an IP address",
                  escape(text, 80)));
}

Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  std::string_view host, port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    host = text.substr(1, end == std::string_view::npos ? end : end - 1);
    if (end == std::string_view::npos || !is_ipv6(host))
      return invalid(fmt::format("{} has no IPv6 address between its brackets", escape(text, 80)));
    port = text.substr(end + 1);
  } else if (is_ipv6(text)) {
    return invalid(fmt::format("an IPv6 address stands in brackets here; write [{}]{}", text,
                               default_port == 0 ? ":PORT" : ""));
  } else {
    host = text.substr(0, text.find(':'));
    port = text.substr(host.size());
    if (!is_ip(host) && !is_host_name(host))
      return invalid(
          fmt::format("{} is no host; write a host name (an internationalised one as "
                      "xn--…) or an IP address",
                      escape(host, 80)));
  }
  if (port.empty() && default_port != 0) return HostPort{std::string(host), default_port};
  if (!port.starts_with(':'))
    return invalid(fmt::format("{} has no port; write host:port", escape(text, 80)));
  const auto number = parse_port(port.substr(1));
  if (!number) return number.error();
  return HostPort{std::string(host), *number};
}

Result<Server> parse_ldap_uri(std::string_view text) {
  const auto separator = text.find("://");
  const auto scheme = ascii_lower(text.substr(0, separator));
  if (separator == std::string_view::npos || (scheme != "ldap" && scheme != "ldaps"))
    return invalid(
        fmt::format("{} is no LDAP server; write ldaps://host or ldap://host, with "
                    ":port if it is not 636 or 389",
                    escape(text, 80)));
  const auto rest = text.substr(separator + 3);
  if (const auto path = rest.find_first_of("/?#@"); path != std::string_view::npos)
    return invalid(fmt::format("{} has more than scheme, host and port; write {}://host",
                               escape(text, 80), scheme));
  const bool ldaps = scheme == "ldaps";
  const auto endpoint = parse_host_port(rest, ldaps ? 636 : 389);
  if (!endpoint) return endpoint.error();
  return Server{std::string(text), endpoint->host, endpoint->port, ldaps};
}

}  // namespace rcptsync::config

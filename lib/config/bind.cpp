// How a directory source makes itself known: the map `bind`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/escape.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

// Each method's keys with an example, all of them required.
struct Key {
  std::string_view name;
  BindMethod method;
  std::string_view example;
};
constexpr std::array keys{
    Key{"user", BindMethod::simple, "svc-rcptsync@example.com"},
    Key{"password_file", BindMethod::simple, "credential:ad-password"},
    Key{"principal", BindMethod::gssapi, "svc-rcptsync@EXAMPLE.COM"},
    Key{"keytab", BindMethod::gssapi, "credential:keytab"},
    Key{"cert_file", BindMethod::external, "/etc/rcptsync/client.pem"},
    Key{"key_file", BindMethod::external, "credential:client-key"},
};

// `name@REALM`: nothing in the file says which realm is the default one.
std::optional<std::string> principal(const Value& value) {
  const auto text = value.text();
  if (!text) return {};
  const auto at = text->rfind('@');
  if (at == std::string::npos || at == 0 || at + 1 == text->size()) {
    value.error(fmt::format("{} names no realm; write for example svc-rcptsync@EXAMPLE.COM",
                            escape(*text, 120)));
    return {};
  }
  const auto realm = std::string_view(*text).substr(at + 1);
  if (std::any_of(realm.begin(), realm.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
    value.warning(fmt::format("realms are written in capitals nearly everywhere, and {} is not",
                              escape(realm, 120)));
  return text;
}

constexpr std::array<std::string_view, 4> method_names{"simple", "gssapi", "external", "anonymous"};
constexpr std::array methods{BindMethod::simple, BindMethod::gssapi, BindMethod::external,
                             BindMethod::anonymous};

}  // namespace

void read_bind(const Value& value, const std::filesystem::path& folder, Bind& bind) {
  bind.line = value.line();
  Map map(value);
  if (value.node().kind != Node::Kind::map) return;
  const auto written = map.require("method", "simple");
  const auto method =
      written ? choice<BindMethod, 4>(method_names, methods)(*written) : std::nullopt;
  if (!method) return;
  bind.method = *method;
  map.misplaced("password",
                "secrets do not stand in this file; put it into a file and write password_file: "
                "credential:NAME");
  for (const auto& key : keys) {
    if (key.method == bind.method) {
      map.require(key.name, key.example);
    } else {
      const auto index = static_cast<std::size_t>(key.method);
      map.misplaced(key.name, fmt::format("belongs to method {}; remove it, or change method",
                                          method_names[index]));
    }
  }
  const auto read_secret_of = [&](std::string_view key, std::optional<SecretRef>& into) {
    if (const auto found = map.find(key)) into = secret(folder)(*found);
  };
  switch (bind.method) {
    case BindMethod::simple:
      map.read("user", bind.user, one_line);
      read_secret_of("password_file", bind.password);
      break;
    case BindMethod::gssapi:
      map.read("principal", bind.principal, principal);
      read_secret_of("keytab", bind.keytab);
      break;
    case BindMethod::external:
      read_secret_of("cert_file", bind.cert);
      read_secret_of("key_file", bind.key);
      break;
    case BindMethod::anonymous:
      break;
  }
  map.finish();
}

}  // namespace rcptsync::config

#include "source/active_directory.hpp"

#include <fmt/format.h>
#include <ldap.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "source/hex.hpp"

namespace rcptsync::source {
namespace {

using Json = nlohmann::json;

constexpr int cookie_version = 1;
constexpr std::size_t max_cookie = 4U << 20U;
constexpr std::size_t max_contexts = 1024;
// Domain controllers that a forest has had in all its life.
constexpr std::uint32_t max_cursors = 20'000;

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
    value = value << 8U | static_cast<unsigned char>(*byte);
  return value;
}

std::string usn_text(std::uint64_t usn) {
  return fmt::format("{:020}", usn);
}

void free_dn(LDAPRDN* dn) {
  ::ldap_dnfree(dn);
}

// The parts of a DN from the root on, each `type=value[+…]` in lower case.
std::optional<std::vector<std::string>> from_root(const std::string& text) {
  LDAPDN parsed = nullptr;
  if (::ldap_str2dn(text.c_str(), &parsed, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS) return {};
  const Handle<LDAPRDN, free_dn> owned(parsed);
  std::vector<std::string> parts;
  for (auto* rdn = parsed; rdn != nullptr && *rdn != nullptr; ++rdn) {
    std::vector<std::string> pairs;
    for (auto** pair = *rdn; *pair != nullptr; ++pair)
      pairs.push_back(ascii_lower(std::string((*pair)->la_attr.bv_val, (*pair)->la_attr.bv_len) +
                                  "=" +
                                  std::string((*pair)->la_value.bv_val, (*pair)->la_value.bv_len)));
    std::sort(pairs.begin(), pairs.end());
    std::string part;
    for (const auto& pair : pairs) part += pair + '+';
    parts.push_back(std::move(part));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::string guid_filter(std::span<const std::string> guids) {
  std::string filter = "(|";
  for (const auto& guid : guids) {
    filter += "(objectGUID=";
    for (const char byte : guid)
      fmt::format_to(std::back_inserter(filter), "\\{:02x}", static_cast<unsigned char>(byte));
    filter += ')';
  }
  return filter + ')';
}

std::optional<std::string> parse_usn(std::string_view decimal) {
  std::uint64_t usn = 0;
  const auto* end = decimal.data() + decimal.size();
  const auto [stop, code] = std::from_chars(decimal.data(), end, usn);
  if (decimal.empty() || code != std::errc{} || stop != end) return {};
  return usn_text(usn);
}

Result<std::map<std::string, std::string>> parse_up_to_date_vector(std::string_view bytes) {
  constexpr std::size_t header = 16;  // version, reserved, number of cursors, reserved
  constexpr std::size_t usn_size = 8;
  const Error damaged{Errc::damaged, "replUpToDateVector is not what [MS-DRSR] describes"};
  if (bytes.size() < header) return damaged;
  const auto version = little_endian(bytes.substr(0, 4));
  const auto count = little_endian(bytes.substr(8, 4));
  if (version != 1 && version != 2) return damaged;
  // Version 2 adds the time of the last replication.
  const std::size_t cursor = guid_size + usn_size + (version == 2 ? 8 : 0);
  if (count > max_cursors || bytes.size() < header + count * cursor) return damaged;
  std::map<std::string, std::string> vector;
  for (std::size_t at = header; at < header + count * cursor; at += cursor)
    vector[to_hex(bytes.substr(at, guid_size))] =
        usn_text(little_endian(bytes.substr(at + guid_size, usn_size)));
  return vector;
}

std::optional<std::string> context_of(const std::string& base,
                                      const std::vector<std::string>& contexts) {
  const auto parts = from_root(base);
  if (!parts) return {};
  std::optional<std::string> best;
  std::size_t length = 0;
  for (const auto& context : contexts) {
    const auto root = from_root(context);
    if (!root || root->size() <= length || root->size() > parts->size()) continue;
    if (!std::equal(root->begin(), root->end(), parts->begin())) continue;
    best = context;
    length = root->size();
  }
  return best;
}

FilterNeeds filter_needs(std::string_view filter) {
  FilterNeeds needs;
  // In a value, parentheses are written \28 and \29 (RFC 4515 §3).
  for (auto open = filter.find('('); open != std::string_view::npos;
       open = filter.find('(', open + 1)) {
    auto item = filter.substr(open + 1);
    item.remove_prefix(std::min(item.find_first_not_of(" \t\r\n"), item.size()));
    if (item.empty() || item.front() == '&' || item.front() == '|' || item.front() == '!') continue;
    const auto left = item.substr(0, item.find_first_of("=)"));
    // LDAP_MATCHING_RULE_TRANSITIVE_EVAL and …_DN_WITH_DATA.
    constexpr std::string_view transitive = "1.2.840.113556.1.4.1941";
    if (left.find(transitive) != std::string_view::npos) needs.beyond_object = true;
    const auto name = ascii_lower(left.substr(0, left.find_first_of(":;<>~ \t\r\n")));
    // Nothing before a matching rule: every attribute. anr: a set that the schema names.
    if (name.empty() || name == "anr")
      needs.beyond_object = true;
    else if (std::find(needs.attributes.begin(), needs.attributes.end(), name) ==
             needs.attributes.end())
      needs.attributes.push_back(name);
  }
  return needs;
}

void Hint::see(std::string_view attribute, std::string_view value) {
  if (ascii_equal(attribute, "isDeleted") && ascii_equal(value, "TRUE")) deleted = true;
  if (ascii_equal(attribute, "objectClass")) created = true;
  if (ascii_equal(attribute, "name") || ascii_equal(attribute, "parentGUID")) placed = true;
}

std::string to_bytes(const DirSyncCookie& cookie) {
  auto contexts = Json::array();
  for (const auto& context : cookie.contexts)
    contexts.push_back({{"dn", to_hex(context.dn)}, {"cookie", to_hex(context.cookie)}});
  return Json{{"version", cookie_version},
              {"object_security", cookie.object_security},
              {"contexts", std::move(contexts)}}
      .dump();
}

std::optional<DirSyncCookie> parse_dirsync_cookie(std::string_view bytes) {
  if (bytes.empty() || bytes.size() > max_cookie) return {};
  const auto json = Json::parse(bytes, nullptr, false);
  if (!json.is_object() || json.value("version", Json{}) != Json(cookie_version)) return {};
  const auto security = json.find("object_security");
  const auto contexts = json.find("contexts");
  if (security == json.end() || !security->is_boolean() || contexts == json.end() ||
      !contexts->is_array() || contexts->empty() || contexts->size() > max_contexts)
    return {};
  DirSyncCookie cookie{.object_security = security->get<bool>(), .contexts = {}};
  for (const auto& one : *contexts) {
    const auto text = [&](const char* name) -> std::optional<std::string> {
      if (!one.is_object()) return {};
      const auto found = one.find(name);
      if (found == one.end() || !found->is_string()) return {};
      return from_hex(found->get_ref<const std::string&>());
    };
    auto dn = text("dn");
    auto value = text("cookie");
    if (!dn || !value || dn->empty() || value->empty()) return {};
    cookie.contexts.push_back({*std::move(dn), *std::move(value)});
  }
  return cookie;
}

}  // namespace rcptsync::source

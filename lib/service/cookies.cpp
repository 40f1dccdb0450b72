#include "service/cookies.hpp"

#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "push/base64.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

constexpr std::size_t largest_file = 64 << 20;
constexpr const char* file_name = "cookies.json";

// A cookie with one wrong digit could be one of a later moment, and skip what lies between.
Digest seal(const std::string& source, const NewerCookie& newer) {
  Sha256 hash;
  hash.update(sha256(source).hex());
  hash.update(newer.after.hex());
  hash.update(newer.cookie);
  return hash.finish();
}

std::optional<Digest> digest_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return Digest::from_hex(found->get_ref<const std::string&>());
}

}  // namespace

NewerCookies load_cookies(const std::filesystem::path& state_dir) {
  NewerCookies cookies;
  const auto bytes = read_file(state_dir / file_name, largest_file);
  if (!bytes) return cookies;
  const auto document = json::parse(*bytes, nullptr, false);
  if (!document.is_object()) return cookies;
  for (const auto& [name, entry] : document.items()) {
    if (!entry.is_object()) continue;
    const auto text = entry.find("cookie");
    if (text == entry.end() || !text->is_string()) continue;
    auto cookie = push::base64_decode(text->get_ref<const std::string&>());
    const auto after = digest_at(entry, "after");
    if (!cookie || !after) continue;
    NewerCookie newer{std::move(*cookie), *after};
    if (digest_at(entry, "seal") == seal(name, newer)) cookies.emplace(name, std::move(newer));
  }
  return cookies;
}

Result<> save_cookies(const std::filesystem::path& state_dir, const NewerCookies& cookies) {
  json document = json::object();
  for (const auto& [name, newer] : cookies)
    document[name] = {{"cookie", push::base64_encode(newer.cookie)},
                      {"after", newer.after.hex()},
                      {"seal", seal(name, newer).hex()}};
  return replace_file(state_dir / file_name,
                      document.dump(1, ' ', false, json::error_handler_t::replace) + "\n", 0600);
}

std::string latest_cookie(const NewerCookies& cookies, const std::string& source,
                          const std::string& stored) {
  const auto newer = cookies.find(source);
  if (stored.empty() || newer == cookies.end() || newer->second.after != sha256(stored))
    return stored;
  return newer->second.cookie;
}

}  // namespace rcptsync::service

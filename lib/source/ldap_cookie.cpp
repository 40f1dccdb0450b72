#include "source/ldap_cookie.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/digest.hpp"
#include "base/escape.hpp"
#include "source/hex.hpp"
#include "source/ldap_entry.hpp"

namespace rcptsync::source {
namespace {

using Json = nlohmann::json;

// Of the format of the cookie. A change in what a read gives for the same settings needs another
// number too.
constexpr int cookie_version = 3;
constexpr std::size_t max_cookie = 8U << 20U;
// A cookie begins with the SHA-256 of the rest.
constexpr std::size_t sum_length = 64;
constexpr std::size_t max_items = 100'000;
// Active Directory replicates between sites at least every three hours by default.
constexpr std::int64_t patience_s = 24 * 3600;

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

Json to_json(const std::vector<std::string>& texts) {
  auto json = Json::array();
  for (const auto& text : texts) json.push_back(to_hex(text));
  return json;
}

// Texts go through hexadecimal where they may hold any bytes.
Json to_json(const Mark& mark) {
  auto progress = Json::object();
  for (const auto& [origin, value] : mark.progress) progress[to_hex(origin)] = to_hex(value);
  return {{"cookie", to_hex(mark.cookie)},
          {"origin", to_hex(mark.origin)},
          {"progress", std::move(progress)}};
}

// Reads one member after the other; any that is not as it has to be makes all of it bad.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json), good_(json.is_object()) {}

  std::string text(const char* name) {
    const auto* found = find(name);
    if (found == nullptr || !found->is_string()) return bad();
    auto bytes = from_hex(found->get_ref<const std::string&>());
    return bytes ? *std::move(bytes) : bad();
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> texts;
    each(name, [&](const Json& item) {
      auto bytes = item.is_string() ? from_hex(item.get_ref<const std::string&>()) : std::nullopt;
      good_ = good_ && bytes;
      if (good_) texts.push_back(*std::move(bytes));
    });
    return texts;
  }
  std::int64_t number(const char* name) {
    const auto* found = find(name);
    if (found != nullptr && found->is_number_integer()) return found->get<std::int64_t>();
    good_ = false;
    return 0;
  }
  /// Each item of a list.
  template <class Take>
  void each(const char* name, Take&& take) {
    const auto* found = find(name);
    good_ = good_ && found != nullptr && found->is_array() && found->size() <= max_items;
    if (good_)
      for (const auto& item : *found) take(item);
  }
  /// Each name and text of an object.
  template <class Take>
  void pairs(const char* name, Take&& take) {
    const auto* found = find(name);
    good_ = good_ && found != nullptr && found->is_object() && found->size() <= max_items;
    if (!good_) return;
    for (const auto& [key, value] : found->items()) {
      auto first = from_hex(key);
      auto second =
          value.is_string() ? from_hex(value.template get_ref<const std::string&>()) : std::nullopt;
      good_ = good_ && first && second;
      if (good_) take(*std::move(first), *std::move(second));
    }
  }
  [[nodiscard]] const Json* find(const char* name) const {
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }
  void require(bool condition) { good_ = good_ && condition; }
  [[nodiscard]] bool good() const { return good_; }

 private:
  std::string bad() {
    good_ = false;
    return {};
  }

  const Json& json_;
  bool good_;
};

std::optional<Mark> mark_of(const Json& json) {
  Fields fields(json);
  Mark mark;
  mark.cookie = fields.text("cookie");
  mark.origin = fields.text("origin");
  fields.pairs("progress", [&](std::string origin, std::string value) {
    mark.progress.emplace(std::move(origin), std::move(value));
  });
  fields.require(!mark.cookie.empty());
  return fields.good() ? std::optional(std::move(mark)) : std::nullopt;
}

}  // namespace

std::string to_bytes(const LdapCookie& cookie) {
  auto reached = Json::array();
  for (const auto& one : cookie.reached)
    reached.push_back({{"server", to_hex(one.server)},
                       {"origin", to_hex(one.origin)},
                       {"value", to_hex(one.value)}});
  auto lagging = Json::array();
  for (const auto& server : cookie.lagging) lagging.push_back({{"server", to_hex(server)}});
  Json json{{"version", cookie_version},
            {"reached", std::move(reached)},
            {"lagging", std::move(lagging)},
            {"lagging_since", cookie.lagging_since},
            {"fingerprint", to_hex(cookie.fingerprint)},
            {"mark_server", to_hex(cookie.mark_server)},
            {"note", to_hex(cookie.note)}};
  if (cookie.mark) {
    json["mark"] = to_json(*cookie.mark);
    json["addresses"] = to_json(cookie.addresses);
    json["fallback"] = to_json(cookie.fallback);
  }
  return with_sum(json.dump());
}

std::string with_sum(std::string_view content) {
  return sha256(content).hex().append(content);
}

LdapCookie parse_ldap_cookie(std::string_view bytes) {
  if (bytes.size() < sum_length || bytes.size() > max_cookie) return {};
  const auto content = bytes.substr(sum_length);
  if (bytes.substr(0, sum_length) != sha256(content).hex()) return {};
  const auto json = Json::parse(content, nullptr, false);
  Fields fields(json);
  LdapCookie cookie;
  fields.require(fields.number("version") == cookie_version);
  fields.each("reached", [&](const Json& item) {
    Fields one(item);
    auto& added = cookie.reached.emplace_back();
    added.server = one.text("server");
    added.origin = one.text("origin");
    added.value = one.text("value");
    fields.require(one.good());
  });
  fields.each("lagging", [&](const Json& item) {
    Fields one(item);
    cookie.lagging.push_back(one.text("server"));
    fields.require(one.good());
  });
  cookie.lagging_since = fields.number("lagging_since");
  cookie.fingerprint = fields.text("fingerprint");
  cookie.mark_server = fields.text("mark_server");
  cookie.note = fields.text("note");
  if (const auto* mark = fields.find("mark")) {
    cookie.mark = mark_of(*mark);
    fields.require(cookie.mark.has_value());
    cookie.addresses = fields.texts("addresses");
    cookie.fallback = fields.texts("fallback");
  }
  return fields.good() ? cookie : LdapCookie{};
}

std::string fingerprint(config::SourceType type, const config::LdapSource& settings) {
  EntryDecoder decoder(type, settings);
  auto requested = Json::array();
  for (auto* const* name = decoder.request(); *name != nullptr; ++name)
    requested.push_back(to_hex(*name));
  const Json content{{"version", cookie_version},
                     {"type", to_hex(config::to_string(type))},
                     {"bases", to_json(settings.bases)},
                     {"filter", to_hex(settings.filter)},
                     {"addresses", to_json(settings.addresses)},
                     {"fallback", to_json(settings.fallback)},
                     {"sender_authentication", settings.drop_sender_authentication},
                     {"system_mailboxes", settings.drop_system_mailboxes},
                     // Another account may see others, and nobody tells of a change of that.
                     {"bind", static_cast<int>(settings.bind.method)},
                     {"user", to_hex(settings.bind.user)},
                     {"principal", to_hex(settings.bind.principal)},
                     {"cert_file", to_hex(settings.bind.cert ? settings.bind.cert->name : "")},
                     {"requested", std::move(requested)}};
  return sha256(content.dump()).hex();
}

std::string lag(const LdapCookie& before, const std::string& server, const Mark& mark,
                std::int64_t now) {
  // After a day, or if the clock was wrong, it is over.
  const auto waited = now - before.lagging_since;
  if (before.lagging_since != 0 && (waited < 0 || waited > patience_s)) return {};
  if (mark.origin.empty() || mark.progress.empty()) {
    if (before.lagging_since == 0) return {};
    if (has_lagged(before, server))
      return fmt::format("{} was behind and does not say how far it is now", escape(server));
    // What the last read lacked it lacked because it lagged, so that this one lacks it too confirms
    // nothing.
    return fmt::format("{} does not say whether it has what the server before it lacked",
                       escape(server));
  }
  for (const auto& reached : before.reached) {
    const auto found = mark.progress.find(reached.origin);
    if (found != mark.progress.end() && found->second >= reached.value) continue;
    if (reached.server == server && reached.origin == mark.origin)
      return fmt::format(
          "{} has an older copy of its own database than an earlier read saw ({}, then {}): it was "
          "restored, or is not the machine that it was",
          escape(server), escape(found == mark.progress.end() ? "nothing" : found->second),
          escape(reached.value));
    if (reached.server == server)
      return fmt::format(
          "{} answers from another database than before, which has not all that the old one had",
          escape(server));
    return fmt::format("{} has not yet all that was read from {}", escape(server),
                       escape(reached.server));
  }
  return {};
}

LdapCookie after_read(const LdapCookie& before, const std::string& server, const Mark& mark,
                      const std::string& fingerprint, bool behind,
                      const std::vector<std::string>& servers, std::int64_t now) {
  LdapCookie after;
  after.note = mark.note;
  for (const auto& reached : before.reached)
    if (contains(servers, reached.server)) after.reached.push_back(reached);
  if (behind) {
    after.lagging_since = before.lagging_since != 0 ? before.lagging_since : now;
    for (const auto& lagging : before.lagging)
      if (lagging != server && contains(servers, lagging)) after.lagging.push_back(lagging);
    after.lagging.push_back(server);
    return after;
  }

  after.fingerprint = fingerprint;
  after.mark_server = server;
  if (!mark.cookie.empty()) {
    after.mark = mark;
    after.mark->note.clear();
  }
  // A server that does not say how far it is leaves what is known as it is.
  const auto own = mark.progress.find(mark.origin);
  if (own == mark.progress.end()) return after;
  std::erase_if(after.reached, [&](const auto& reached) {
    return reached.server == server || !mark.progress.contains(reached.origin);
  });
  for (auto& reached : after.reached) reached.value = mark.progress.at(reached.origin);
  after.reached.push_back({server, mark.origin, own->second});
  return after;
}

bool has_lagged(const LdapCookie& cookie, const std::string& server) {
  return contains(cookie.lagging, server);
}

}  // namespace rcptsync::source

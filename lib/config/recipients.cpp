// The section `recipients`: domains, always and static. Exclusions: exclusions.cpp.
#include <fmt/format.h>

#include <string>

#include "base/escape.hpp"
#include "config/mailbox.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_domains = 100'000;
constexpr std::size_t max_entries = 1'000'000;

std::optional<std::string> always_name(const Value& value) {
  return checked(value, [](std::string_view text) -> Result<> {
    if (text.find('@') == std::string_view::npos) return check_local_part(text);
    return Error{Errc::invalid,
                 fmt::format("{} has a domain; write the local part alone, or put the address into "
                             "recipients.static",
                             escape(text, 80))};
  });
}

// Where the address ends and a reject text begins: at the first blank outside quotes.
std::size_t address_length(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ' ' && !quoted) {
      return i;
    }
  }
  return text.size();
}

// `always` in each of the domains.
void read_always(Map& map, Recipients& recipients) {
  std::vector<std::string> names;
  if (!map.read_list("always", names, 1000, always_name) || names.empty()) return;
  const int line = map.find("always") ? map.find("always")->line() : 0;
  if (recipients.domains.empty())
    map.error("always",
              "needs recipients.domains: these are accepted in every domain listed there");
  if (names.size() * recipients.domains.size() > max_entries) {
    map.error("always", fmt::format("makes {} addresses; at most {} are accepted",
                                    names.size() * recipients.domains.size(), max_entries));
    return;
  }
  for (const auto& domain : recipients.domains)
    for (const auto& local : names)
      recipients.entries.push_back({local + "@" + domain, "", true, line});
}

}  // namespace

std::optional<StaticEntry> read_static(const Value& value) {
  const auto text = value.text(2048);
  if (!text) return {};
  const auto whole = std::string_view(*text);
  const auto address = whole.substr(0, address_length(whole));
  auto reject = whole.substr(address.size());
  reject.remove_prefix(std::min(reject.find_first_not_of(' '), reject.size()));
  const bool wildcard = address.starts_with('@');
  const auto sound = wildcard ? check_domain(address.substr(1)) : check_address(address);
  if (!sound) {
    value.error(sound.error().message);
    return {};
  }
  if (wildcard && !reject.empty()) {
    value.error(
        fmt::format("{} cannot have a reject text: access(5) has no key for a whole domain; "
                    "list the addresses, or remove the text",
                    escape(address, 80)));
    return {};
  }
  if (ascii_equal(reject, "OK")) {
    value.error(fmt::format("an entry without a reject text is accepted; write {} alone",
                            escape(address, 80)));
    return {};
  }
  if (!reject.empty()) {
    if (const auto right = check_reject(reject); !right) {
      value.error(right.error().message);
      return {};
    }
  }
  return StaticEntry{std::string(address), std::string(reject), false, value.line()};
}

void read_recipients(const Value& value, const std::filesystem::path& folder,
                     Recipients& recipients) {
  Map map(value);
  map.read_list("domains", recipients.domains, max_domains,
                [](const Value& item) { return checked(item, check_domain); });
  map.refuse_empty("domains", "the list is empty; leave the key out to accept all domains");
  if (const auto exclude = map.find("exclude"))
    read_exclusions(*exclude, folder, recipients.exclude);
  read_always(map, recipients);
  if (const auto entries = map.find("static"))
    if (const auto items = entries->list(max_entries))
      for (const auto& item : *items)
        if (auto entry = read_static(item)) recipients.entries.push_back(*std::move(entry));
  map.finish();
}

}  // namespace rcptsync::config

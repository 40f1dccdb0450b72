// values — the reading functions for Map::read(): a Value in, std::optional<T> out, the fault
// recorded if there is nothing.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "config/reader.hpp"
#include "config/scalar.hpp"

namespace rcptsync::config {

/// A text as it stands: one line, not empty.
inline std::optional<std::string> one_line(const Value& value) {
  return value.text();
}

/// What `parse(text)` makes of the value; its Error becomes the fault.
template <class Parse>
auto parsed(const Value& value, Parse&& parse)
    -> std::optional<std::remove_cvref_t<decltype(parse(std::string_view{}).value())>> {
  const auto text = value.text();
  if (!text) return {};
  auto result = parse(std::string_view(*text));
  if (result) return *std::move(result);
  value.error(result.error().message);
  return {};
}

/// The same, but it is the text itself that is kept once `check(text)` is content.
template <class Check>
std::optional<std::string> checked(const Value& value, Check&& check) {
  auto text = value.text();
  if (!text) return {};
  const auto result = check(std::string_view(*text));
  if (result) return text;
  value.error(result.error().message);
  return {};
}

inline auto duration(Seconds least, Seconds most) {
  return [=](const Value& value) {
    return parsed(value, [=](auto text) { return parse_duration(text, least, most); });
  };
}

/// Timeouts: 1 s to 1 h.
inline std::optional<Seconds> timeout(const Value& value) {
  return duration(Seconds{1}, hour)(value);
}

inline std::optional<double> percent(const Value& value) {
  return parsed(value, parse_percent);
}

/// A percentage as a share: 0 to 1.
inline std::optional<double> share(const Value& value) {
  const auto read = percent(value);
  return read ? std::optional(*read / 100) : std::nullopt;
}

inline std::optional<bool> boolean(const Value& value) {
  return parsed(value, parse_boolean);
}

inline std::optional<std::string> name(const Value& value) {
  return parsed(value, parse_name);
}

/// The required key `name`, which must not be in `taken` (name to line), where it is entered.
inline void unique_name(Map& map, std::string_view example, std::map<std::string, int>& taken,
                        std::string& into) {
  map.read_required("name", example, into, name);
  if (into.empty()) return;
  const auto [first, fresh] = taken.emplace(into, map.value().line());
  if (!fresh)
    map.error("name", fmt::format("{} is taken by the entry in line {}; names are unique", into,
                                  first->second));
}

/// `least` to 2^32. Where the field has 32 bits, 2^32 becomes the largest that it holds.
template <class T>
auto count(std::uint64_t least = 0, std::uint64_t most = std::uint64_t{1} << 32) {
  return [=](const Value& value) -> std::optional<T> {
    const auto number = parsed(value, [=](auto text) { return parse_count(text, least, most); });
    if (!number) return {};
    return static_cast<T>(std::min<std::uint64_t>(*number, std::numeric_limits<T>::max()));
  };
}

/// One of `words`, which stand for the values of `meanings` in the same order.
template <class T, std::size_t N>
auto choice(std::array<std::string_view, N> words, std::array<T, N> meanings) {
  return [=](const Value& value) -> std::optional<T> {
    const auto index = parsed(value, [&](auto text) { return parse_choice(text, words); });
    if (!index) return {};
    return meanings[*index];
  };
}

/// One of the values of an enumeration whose names to_string() knows.
template <class T, class... More>
auto choice_of(T first, More... more) {
  return choice(std::array{to_string(first), to_string(more)...}, std::array{first, more...});
}

/// A path on this machine; relative ones are relative to `folder`.
inline auto local_path(const std::filesystem::path& folder) {
  return [folder](const Value& value) -> std::optional<std::string> {
    const auto text = value.text(4000);
    if (!text) return {};
    return (folder / *text).lexically_normal().native();
  };
}

/// `credential:NAME`, or a path on this machine.
inline auto secret(const std::filesystem::path& folder) {
  return [folder](const Value& value) -> std::optional<SecretRef> {
    constexpr std::string_view scheme = "credential:";
    const auto text = value.text(4000);
    if (!text) return {};
    if (!text->starts_with(scheme)) {
      auto path = local_path(folder)(value);
      return SecretRef{SecretRef::Kind::file, *std::move(path), value.line()};
    }
    auto credential = parse_name(std::string_view(*text).substr(scheme.size()));
    if (credential)
      return SecretRef{SecretRef::Kind::credential, *std::move(credential), value.line()};
    value.error(credential.error().within("after credential:").message);
    return {};
  };
}

}  // namespace rcptsync::config

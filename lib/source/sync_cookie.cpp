#include "source/sync_cookie.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/escape.hpp"
#include "source/sync_values.hpp"

namespace rcptsync::source {
namespace {

constexpr std::string_view format_name = "content-sync 1";
constexpr std::size_t max_cookie = 256U << 10U;
constexpr std::size_t max_bases = 10'000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// In a shape `d` is a digit, `x` a hexadecimal digit, anything else itself.
bool has_shape(std::string_view text, std::string_view shape) {
  if (text.size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const char c = text[i];
    const bool hex = is_digit(c) || (c >= 'a' && c <= 'f');
    if (shape[i] == 'd' ? !is_digit(c) : shape[i] == 'x' ? !hex : c != shape[i]) return false;
  }
  return true;
}

std::string_view cut(std::string_view& rest, char separator) {
  const auto end = rest.find(separator);
  const auto part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

// A field as `LENGTH:BYTES,`.
void append_field(std::string& out, std::string_view bytes) {
  out += fmt::format("{}:{},", bytes.size(), bytes);
}
std::optional<std::string> take_field(std::string_view& rest) {
  std::size_t size = 0;
  const auto* end = rest.data() + rest.size();
  const auto [stop, code] = std::from_chars(rest.data(), end, size);
  if (code != std::errc{} || stop == end || *stop != ':') return {};
  if (stop - rest.data() > 1 && rest.front() == '0') return {};
  rest.remove_prefix(static_cast<std::size_t>(stop + 1 - rest.data()));
  if (rest.size() <= size || rest[size] != ',') return {};
  std::string bytes(rest.substr(0, size));
  rest.remove_prefix(size + 1);
  return bytes;
}

}  // namespace

bool add_csn(std::string_view csn, CsnSet& csns) {
  constexpr std::string_view shape = "dddddddddddddd.ddddddZ#xxxxxx#xxx#xxxxxx";
  constexpr std::size_t sid_at = 30;
  constexpr std::size_t sid_size = 3;
  if (!has_shape(csn, shape)) return false;
  return csns.emplace(csn.substr(sid_at, sid_size), csn).second;
}

Result<ServerCookie> parse_sync_cookie(std::string_view cookie) {
  const Error foreign{Errc::foreign,
                      fmt::format("the sync cookie {} is not one of OpenLDAP", escape(cookie))};
  if (cookie.empty() || cookie.size() > max_cookie) return foreign;
  ServerCookie parsed;
  while (!cookie.empty()) {
    auto value = cut(cookie, ',');
    const auto name = cut(value, '=');
    CsnSet deleted;
    if (name == "rid" && has_shape(value, "ddd")) continue;
    if (name == "delcsn" && add_csn(value, deleted)) continue;
    if (name == "sid" && has_shape(value, "xxx")) {
      parsed.sid = value;
      continue;
    }
    if (name != "csn" || value.empty()) return foreign;
    while (!value.empty())
      if (!add_csn(cut(value, ';'), parsed.csns)) return foreign;
  }
  return parsed;
}

std::string compose_sync_cookie(const CsnSet& csns) {
  std::string cookie = "rid=000";
  const char* separator = ",csn=";
  for (const auto& [sid, csn] : csns) {
    cookie += separator + csn;
    separator = ";";
  }
  return cookie;
}

std::string cannot_go_on(const BaseMark& since, const BaseMark& now) {
  if (since.base != now.base) return "the bases are others than at the last read";
  const auto where = escape(now.base);
  if (since.uuid != now.uuid)
    return fmt::format("{} is another entry than at the last read: this is another database",
                       where);
  for (const auto& [sid, csn] : since.csns) {
    const auto found = now.csns.find(sid);
    if (found == now.csns.end())
      return fmt::format(
          "{}: this server knows no changes of server id {}, which the last read had", where, sid);
    if (found->second < csn)
      return fmt::format(
          "{}: this server has the changes of server id {} up to {} only, the last read had them "
          "up "
          "to {}",
          where, sid, found->second, csn);
  }
  for (const auto& [sid, csn] : now.csns)
    if (!since.csns.contains(sid))
      return fmt::format("{}: server id {} wrote for the first time", where, sid);
  return {};
}

std::string oldest_changed(const CsnSet& since, const CsnSet& now) {
  std::string oldest;
  for (const auto& [sid, csn] : since) {
    const auto found = now.find(sid);
    if (found == now.end() || found->second <= csn) continue;
    if (oldest.empty() || csn < oldest) oldest = csn;
  }
  return oldest;
}

std::string encode_marks(const std::vector<BaseMark>& marks) {
  std::string bytes;
  append_field(bytes, format_name);
  for (const auto& mark : marks) {
    append_field(bytes, mark.base);
    append_field(bytes, mark.uuid);
    append_field(bytes, compose_sync_cookie(mark.csns));
  }
  return bytes;
}

Result<std::vector<BaseMark>> decode_marks(std::string_view bytes) {
  const Error foreign{Errc::foreign, "the mark of the last read is not one of this version"};
  if (take_field(bytes) != format_name) return foreign;
  std::vector<BaseMark> marks;
  while (!bytes.empty()) {
    auto base = take_field(bytes);
    auto uuid = take_field(bytes);
    const auto cookie = take_field(bytes);
    if (!base || !uuid || !cookie || marks.size() == max_bases) return foreign;
    if (!uuid->empty() && uuid->size() != sync_uuid_size) return foreign;
    auto parsed = parse_sync_cookie(*cookie);
    if (!parsed || parsed->csns.empty() || compose_sync_cookie(parsed->csns) != *cookie)
      return foreign;
    marks.push_back({std::move(*base), std::move(*uuid), std::move(parsed->csns)});
  }
  if (marks.empty()) return foreign;
  return marks;
}

}  // namespace rcptsync::source

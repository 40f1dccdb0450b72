#include "push/known_hosts.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "base/digest.hpp"
#include "base/escape.hpp"
#include "base/file.hpp"
#include "push/base64.hpp"
#include "push/wire.hpp"

namespace rcptsync::push {
namespace {

constexpr std::string_view blanks = " \t";

// The next field of the line, removed from it; empty at the end.
std::string_view next_field(std::string_view& line) {
  const auto begin = std::min(line.find_first_not_of(blanks), line.size());
  line.remove_prefix(begin);
  const auto field = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(field.size());
  return field;
}

// Every public key is a row of strings and integers that look like strings (RFC 4253 §6.6).
bool is_whole(std::string_view key) {
  WireReader reader(key);
  while (!reader.empty())
    if (!reader.string()) return false;
  return true;
}

// The line, or why it is none.
Result<KnownHostsLine> parse_line(std::string_view line, std::size_t number) {
  const auto bad = [](std::string why) { return Error{Errc::invalid, std::move(why)}; };
  if (line.size() > known_hosts_line_limit) return bad("the line is too long");
  if (line.find('\0') != std::string_view::npos) return bad("the line has a NUL byte");

  KnownHostsLine parsed;
  parsed.number = number;
  auto field = next_field(line);
  if (field.starts_with('@')) {
    if (field == "@revoked") {
      parsed.marker = KnownHostsLine::Marker::revoked;
    } else if (field == "@cert-authority") {
      parsed.marker = KnownHostsLine::Marker::cert_authority;
    } else {
      return bad(fmt::format("unknown marker {}", escape(field, 40)));
    }
    field = next_field(line);
  }
  parsed.hosts = field;
  const auto type = next_field(line);
  const auto encoded = next_field(line);
  if (encoded.empty()) return bad("a line is: host names, key type, key");
  if (type.find_first_not_of("0123456789") == std::string_view::npos)
    return bad("this is a key of SSH version 1, which nobody should use any more");
  auto key = base64_decode(encoded);
  if (!key) return bad("the key is not base64");
  if (type_of_key(*key) != type)
    return bad(fmt::format("the key is not of type {}", escape(type, 40)));
  if (!is_whole(*key)) return bad("the key is cut off");
  parsed.type = type;
  parsed.key = std::move(*key);
  return parsed;
}

// fnmatch(3) with '*' and '?' alone, in time proportional to the product of the lengths.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  auto star = std::string_view::npos;  // the last '*', and how far it has eaten
  std::size_t eaten = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      eaten = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++eaten;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// |1|base64(salt)|base64(HMAC-SHA1(salt, name))
bool hash_matches(std::string_view hashed, std::string_view name) {
  hashed.remove_prefix(3);
  const auto bar = hashed.find('|');
  if (bar == std::string_view::npos) return false;
  const auto salt = base64_decode(hashed.substr(0, bar));
  const auto expected = base64_decode(hashed.substr(bar + 1));
  if (!salt || !expected) return false;
  std::array<unsigned char, EVP_MAX_MD_SIZE> actual{};
  unsigned int length = 0;
  if (HMAC(EVP_sha1(), salt->data(), static_cast<int>(salt->size()),
           reinterpret_cast<const unsigned char*>(name.data()), name.size(), actual.data(),
           &length) == nullptr)
    return false;
  return expected->size() == length && CRYPTO_memcmp(expected->data(), actual.data(), length) == 0;
}

}  // namespace

KnownHosts parse_known_hosts(std::string_view text) {
  KnownHosts file;
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto begin = line.find_first_not_of(blanks);
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    auto parsed = parse_line(line, number);
    if (parsed) {
      file.lines.push_back(std::move(*parsed));
    } else {
      file.garbage.push_back({number, parsed.error().message});
    }
  }
  return file;
}

Result<KnownHosts> read_known_hosts(const std::filesystem::path& path) {
  const auto text = read_file(path, known_hosts_limit);
  if (!text) return text.error();
  return parse_known_hosts(*text);
}

bool host_matches(std::string_view patterns, std::string_view name) {
  const auto lower = ascii_lower(name);
  if (patterns.starts_with("|1|")) return hash_matches(patterns, lower);
  bool matches = false;
  while (!patterns.empty()) {
    auto pattern = patterns.substr(0, patterns.find(','));
    patterns.remove_prefix(std::min(pattern.size() + 1, patterns.size()));
    const bool excludes = pattern.starts_with('!');
    if (excludes) pattern.remove_prefix(1);
    if (pattern.empty() || !glob_matches(ascii_lower(pattern), lower)) continue;
    if (excludes) return false;
    matches = true;
  }
  return matches;
}

std::string lookup_name(std::string_view host, std::uint16_t port) {
  return port == 22 ? ascii_lower(host) : fmt::format("[{}]:{}", ascii_lower(host), port);
}

HostKeys keys_of(const KnownHosts& file, std::string_view host, std::uint16_t port) {
  HostKeys result;
  std::vector<HostKeys::Key> plain;
  const auto name = lookup_name(host, port);
  for (const auto& line : file.lines) {
    const bool exact = host_matches(line.hosts, name);
    if (!exact && (port == 22 || !host_matches(line.hosts, host))) continue;
    HostKeys::Key key{line.type, line.key, line.number};
    switch (line.marker) {
      case KnownHostsLine::Marker::none:
        (exact ? result.known : plain).push_back(std::move(key));
        break;
      case KnownHostsLine::Marker::revoked:
        result.revoked.push_back(std::move(key));
        break;
      case KnownHostsLine::Marker::cert_authority:
        result.authorities.push_back(line.number);
        break;
    }
  }
  if (result.known.empty()) result.known = std::move(plain);
  return result;
}

std::string fingerprint(std::string_view key) {
  const auto digest = sha256(key);
  auto text =
      base64_encode({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

std::string_view type_of_key(std::string_view key) {
  const auto type = WireReader(key).string();
  return type && !type->empty() ? *type : std::string_view{};
}

}  // namespace rcptsync::push

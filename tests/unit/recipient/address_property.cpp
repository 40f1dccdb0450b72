// What holds for the canonical form of every byte string, shown on many seeded ones and, for
// folding, on every character there is.
#include <algorithm>
#include <string>

#include "base/escape.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "hostile.hpp"
#include "recipient/address.hpp"

using namespace rcptsync;
using namespace rcptsync::recipient;

namespace {

int ats_outside_quotes(std::string_view text) {
  bool quoted = false;
  int count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (text[i] == '@' && !quoted)
      ++count;
  }
  return count;
}

// Empty, or which promise of address.hpp the form breaks.
std::string broken_promise(const Parsed& parsed) {
  const auto& text = parsed.canonical;
  if (parsed.drop != Drop::kept) return text.empty() ? "" : "dropped, but with a form";
  if (text.size() > 254) return "longer than 254 octets";
  if (local_of(text).size() > 64) return "local part longer than 64 octets";
  if (!is_utf8(text)) return "not UTF-8";
  if (text.front() == '@') return "begins with @";
  if (ats_outside_quotes(text) != 1) return "not one @ outside quotes";
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  if (std::any_of(text.begin(), text.end(), is_control)) return "a control character";
  if (text.front() != '"' && text.find(' ') != std::string::npos) return "a space outside quotes";
  if (text.front() == ' ') return "begins with white space";
  const auto domain = domain_of(text);
  if (canonical_domain(domain) != domain) return "the domain is not canonical";
  if (canonical_domain(unicode_domain(domain)) != domain)
    return "the U-label form is another domain";
  const auto again = parse_address(text);
  if (again.drop != Drop::kept || again.canonical != text) return "not its own canonical form";
  return "";
}

std::string utf8(char32_t c) {
  const auto byte = [](char32_t bits) { return static_cast<char>(bits); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xc0 | c >> 6), byte(0x80 | (c & 63))};
  if (c < 0x10000) return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63))};
  return {byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 63)), byte(0x80 | (c >> 6 & 63)),
          byte(0x80 | (c & 63))};
}

}  // namespace

TEST_CASE("the canonical form keeps its promises for hostile bytes") {
  SeededRandom random(20240501);
  int kept = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto text = test::hostile_address(random);
    const auto parsed = parse_address(text);
    const auto broken = broken_promise(parsed);
    if (!broken.empty()) FAIL(broken << ": " << escape(text) << " → " << escape(parsed.canonical));
    kept += parsed.drop == Drop::kept;
  }
  CHECK(kept > 20'000);  // else the generator tests nothing but refusals
}

TEST_CASE("the canonical form keeps its promises for random bytes") {
  SeededRandom random(7);
  for (int i = 0; i < 100'000; ++i) {
    std::string text(random.next() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random.next());
    text += '@';
    text += static_cast<char>(random.next());
    const auto parsed = parse_address(text);
    if (const auto broken = broken_promise(parsed); !broken.empty())
      FAIL(broken << ": " << escape(text));
  }
}

TEST_CASE("every character folds to its own canonical form, and in either case to the same") {
  for (char32_t c = 0x20; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    for (const auto* suffix : {"@example.org", "x@example.org"}) {
      const auto parsed = parse_address(utf8(c) + suffix);
      if (const auto broken = broken_promise(parsed); !broken.empty())
        FAIL(broken << ": U+" << std::hex << static_cast<unsigned>(c));
    }
  }
}

TEST_CASE("different contents stay different") {
  // Everything that looks like the same address and is another one.
  const std::string local[] = {"ab",         "\"a b\"",    "\"a  b\"", "\"a.\"",   "\".a\"",
                               "\"a\\\"b\"", "\"a\\\\b\"", "a.b",      "\"a..b\"", "\"a@b\"",
                               "a_b",        "a-b",        "ä",        "ae",       "a"};
  for (const auto& one : local)
    for (const auto& other : local) {
      const auto a = parse_address(one + "@example.org").canonical;
      const auto b = parse_address(other + "@example.org").canonical;
      INFO(one << " " << other);
      CHECK((a == b) == (&one == &other));
    }
}

TEST_CASE("spelling does not matter: case, quotes, quoted pairs, label form") {
  SeededRandom random(99);
  static constexpr std::string_view alphabet = "abcxyz019!#$%&'*+-/=?^_`{|}~. @\"\\,:;<>()[]";
  for (int i = 0; i < 20'000; ++i) {
    std::string plain = "\"";
    std::string paired = "\"";
    for (auto n = random.next() % 12 + 1; n > 0; --n) {
      const char c = alphabet[random.next() % alphabet.size()];
      if (c == '"' || c == '\\') plain += '\\';
      plain += c;
      paired += '\\';
      paired += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    }
    const auto one = parse_address(plain + "\"@MÜLLER.example");
    const auto other = parse_address(paired + "\"@xn--mller-kva.example");
    CHECK(one.drop == Drop::kept);
    CHECK(one.canonical == other.canonical);
  }
}

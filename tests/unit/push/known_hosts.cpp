#include "push/known_hosts.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::push;

namespace {

// Made by ssh-keygen, as are the fingerprints and the hashed names below.
const std::string ed25519 =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICESM4fu7vgl8U7dqauX6JSncDeIr8qCvTShO9OP8zYL";
const std::string ecdsa =
    "ecdsa-sha2-nistp256 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFANn/lTms+Az08W13M/"
    "s8271E2XCjxxfNg0y3EhQj0sJN1eKRfWLYo/YPi6/LxmsMxm4JhxgV/u+4fQY50uz2Q=";

HostKeys look_up(const std::string& text, std::string_view host, std::uint16_t port = 22) {
  return keys_of(parse_known_hosts(text), host, port);
}

}  // namespace

TEST_CASE("a plain line gives its key, and its fingerprint is that of ssh-keygen") {
  const auto keys =
      look_up("mx2.example.net " + ed25519 + " a comment with words\n", "MX2.example.NET");
  REQUIRE(keys.known.size() == 1);
  CHECK(keys.known[0].type == "ssh-ed25519");
  CHECK(keys.known[0].number == 1);
  CHECK(type_of_key(keys.known[0].key) == "ssh-ed25519");
  CHECK(fingerprint(keys.known[0].key) == "SHA256:c0nTnqBpwqVQkXKxHyfeAHDLDwSPuFQKP6WD5INvTdI");
  CHECK(look_up("mx2.example.net " + ed25519, "mx2.example.ne").known.empty());
  CHECK(look_up("mx2.example.net " + ed25519, "xmx2.example.net").known.empty());
}

TEST_CASE("names hashed by ssh-keygen -H are found, with and without a port") {
  const std::string file =
      "|1|Qtx6shWPXjqeowO/lv7vGn2udmg=|znH0uQHz9YneEiD7FZOANrdc4vk= " + ed25519 +
      "\n"
      "|1|IsET3JEXMSHA4rq3NiGbPtRUe4Q=|F5h6hE+Brg+XyFPmeSKypyuwZOY= " +
      ecdsa + "\n";
  REQUIRE(look_up(file, "mx2.example.net").known.size() == 1);
  CHECK(look_up(file, "mx2.example.net").known[0].type == "ssh-ed25519");
  REQUIRE(look_up(file, "mx2.example.net", 2222).known.size() == 1);
  CHECK(look_up(file, "mx2.example.net", 2222).known[0].type == "ecdsa-sha2-nistp256");
  CHECK(look_up(file, "mx3.example.net").known.empty());
  CHECK(look_up(file, "MX2.EXAMPLE.net").known.size() == 1);
}

TEST_CASE("patterns") {
  struct Row {
    const char* patterns;
    const char* name;
    bool matches;
  };
  const Row rows[] = {
      {"*", "anything", true},
      {"*.example.net", "mx.example.net", true},
      {"*.example.net", "example.net", false},
      {"mx?.example.net", "mx2.example.net", true},
      {"mx?.example.net", "mx.example.net", false},
      {"mx?.example.net", "mx22.example.net", false},
      {"a,b,c", "b", true},
      {"a,b,c", "d", false},
      {"*.example.net,!mx2.example.net", "mx2.example.net", false},
      {"!mx2.example.net,*.example.net", "mx2.example.net", false},
      {"!mx2.example.net,*.example.net", "mx1.example.net", true},
      {"!mx2.example.net", "mx1.example.net", false},
      {"[mx2.example.net]:2222", "[mx2.example.net]:2222", true},
      {"[*]:2222", "[mx2.example.net]:2222", true},
      {"[mx2.example.net]:2222", "mx2.example.net", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"MX2.example.net", "mx2.example.net", true},
      {"", "mx2.example.net", false},
      {",,", "", false},
      {"!", "x", false},
      {"**a**b**", "xxaxxbxx", true},
      {"|1|short", "mx2.example.net", false},
      {"|1|!!!!|????", "mx2.example.net", false},
      {"|1||", "mx2.example.net", false},
  };
  for (const auto& row : rows) {
    INFO(row.patterns << " against " << row.name);
    CHECK(host_matches(row.patterns, row.name) == row.matches);
  }
}

TEST_CASE("a pattern made to be slow is not") {
  std::string pattern;
  for (int i = 0; i < 2000; ++i) pattern += "*a";
  CHECK_FALSE(host_matches(pattern + "b", std::string(4000, 'a')));
}

TEST_CASE("another port: its own line, else the plain name, as ssh does") {
  const std::string file = "mx " + ed25519 + "\n[mx]:2222 " + ecdsa + "\n";
  REQUIRE(look_up(file, "mx", 2222).known.size() == 1);
  CHECK(look_up(file, "mx", 2222).known[0].type == "ecdsa-sha2-nistp256");
  REQUIRE(look_up(file, "mx", 2223).known.size() == 1);
  CHECK(look_up(file, "mx", 2223).known[0].type == "ssh-ed25519");
  CHECK(look_up("[mx]:2222 " + ed25519, "mx").known.empty());
}

TEST_CASE("several keys of one host are all known") {
  const auto keys = look_up("mx " + ed25519 + "\nmx " + ecdsa + "\nmx " + ed25519 + "\n", "mx");
  CHECK(keys.known.size() == 3);
}

TEST_CASE("a revoked key is revoked under every name and port that its line means") {
  const std::string file = "mx " + ed25519 + "\n@revoked * " + ed25519 + "\n";
  CHECK(look_up(file, "mx").revoked.size() == 1);
  CHECK(look_up(file, "mx", 2222).revoked.size() == 1);
  CHECK(look_up("@revoked mx " + ed25519, "mx", 2222).revoked.size() == 1);
  CHECK(look_up("@revoked mx " + ed25519, "mx").known.empty());
  CHECK(look_up("@revoked other " + ed25519, "mx").revoked.empty());
}

TEST_CASE("a certificate authority is never taken for a host key") {
  const auto keys =
      look_up("# a comment\n\n@cert-authority *.example.net " + ed25519, "mx.example.net");
  CHECK(keys.known.empty());
  CHECK(keys.authorities == std::vector<std::size_t>{3});
}

TEST_CASE("garbage is skipped and reported, and every other line holds") {
  using namespace std::string_literals;
  const std::string file =
      "mx\n"                         // 1: cut off
      "mx ssh-ed25519 AAAA\n"        // 2: no key
      "mx ssh-ed25519 not*base64\n"  // 3
      "@unknown mx " +
      ed25519 +
      "\n"  // 4
      "mx ecdsa-sha2-nistp256 " +
      ed25519.substr(12) +
      "\n"                     // 5: of another type
      "mx 2048 65537 12345\n"  // 6: SSH 1
      "mx\0evil "s +
      ed25519 + "\n" +                                       // 7
      std::string(known_hosts_line_limit + 1, 'x') + "\n" +  // 8
      "   mx\t" + ed25519 + "\r\n" +                         // 9: good
      "mx " + ed25519.substr(0, 40);                         // 10: cut off
  const auto parsed = parse_known_hosts(file);
  REQUIRE(parsed.lines.size() == 1);
  CHECK(parsed.lines[0].number == 9);
  CHECK(parsed.lines[0].hosts == "mx");
  std::vector<std::size_t> numbers;
  for (const auto& line : parsed.garbage) {
    numbers.push_back(line.number);
    CHECK_FALSE(line.why.empty());
  }
  CHECK(numbers == std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 10});
}

TEST_CASE("comments and blank lines are nothing") {
  const auto parsed = parse_known_hosts("# mx " + ed25519 + "\n   # x\n\n \t \n\r\n");
  CHECK(parsed.lines.empty());
  CHECK(parsed.garbage.empty());
}

TEST_CASE("any bytes are survived") {
  std::string bytes =
      "mx " + ed25519 + "\n@revoked |1|Qtx6shWPXjqeowO/lv7vGn2udmg=|x= " + ecdsa + "\n";
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (const char c : {'\0', '\n', ' ', '\xff', '|', '*'}) {
      auto changed = bytes;
      changed[i] = c;
      (void)look_up(changed, "mx");
    }
}

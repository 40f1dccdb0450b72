#include "push/host_key.hpp"

#include "catch.hpp"
#include "push/base64.hpp"

using namespace rcptsync;
using namespace rcptsync::push;
using Catch::Matchers::Contains;
using Verdict = HostKeyPolicy::Verdict;

namespace {

const std::string ed25519_text =
    "AAAAC3NzaC1lZDI1NTE5AAAAICESM4fu7vgl8U7dqauX6JSncDeIr8qCvTShO9OP8zYL";
const std::string ecdsa_text =
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFANn/lTms+Az08W13M/"
    "s8271E2XCjxxfNg0y3EhQj0sJN1eKRfWLYo/YPi6/LxmsMxm4JhxgV/u+4fQY50uz2Q=";
const std::string ed25519_pin = "SHA256:c0nTnqBpwqVQkXKxHyfeAHDLDwSPuFQKP6WD5INvTdI";
const std::string ecdsa_pin = "SHA256:wrOuoHdhcoDpEDxHBHto0BsvCfbsEKyIOLO2eYE4ewI";
const auto ed25519 = base64_decode(ed25519_text).value();
const auto ecdsa = base64_decode(ecdsa_text).value();
const std::string ed25519_line = "mx ssh-ed25519 " + ed25519_text + "\n";
const std::string ecdsa_line = "mx ecdsa-sha2-nistp256 " + ecdsa_text + "\n";

// A raw key of the type of another, with other bits.
std::string forged(std::string key) {
  key.back() = static_cast<char>(key.back() ^ 1);
  return key;
}

config::Target mx(std::vector<std::string> pins = {}) {
  config::Target target;
  target.host = "mx";
  target.known_hosts = "/kh";
  target.host_keys = std::move(pins);
  return target;
}

HostKeyPolicy policy(const std::string& file, std::vector<std::string> pins = {}) {
  return {mx(std::move(pins)), parse_known_hosts(file)};
}

using Types = std::vector<std::string>;

}  // namespace

TEST_CASE("only types whose key is known are asked for") {
  CHECK(policy(ecdsa_line).offer() == Types{"ecdsa-sha2-nistp256"});
  CHECK(policy(ecdsa_line + ed25519_line).offer() == Types{"ssh-ed25519", "ecdsa-sha2-nistp256"});
  CHECK(policy("").offer().empty());
  CHECK(HostKeyPolicy::algorithms(Types{"ssh-ed25519", "ssh-rsa"}) ==
        "ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ssh-rsa");
}

TEST_CASE("the known key is trusted, any other is not") {
  auto known = policy(ed25519_line);
  CHECK(known.judge(ed25519) == Verdict::trusted);
  CHECK(known.judge(forged(ed25519)) == Verdict::refused);
  CHECK(known.explain().code == Errc::untrusted);
  CHECK_THAT(known.explain().message, Contains("has changed") && Contains("/kh line 1") &&
                                          Contains(ed25519_pin) && Contains("ssh-keygen -R 'mx'"));
  auto other = policy(ed25519_line);
  CHECK(other.judge(ecdsa) == Verdict::refused);
  CHECK(policy(ed25519_line).judge("") == Verdict::refused);
  CHECK(policy(ed25519_line).judge(ed25519 + "x") == Verdict::refused);
}

TEST_CASE("of two known keys of a type either is trusted") {
  const auto second = "mx ssh-ed25519 " + base64_encode(forged(ed25519)) + "\n";
  auto both = policy(ed25519_line + second);
  CHECK(both.judge(ed25519) == Verdict::trusted);
  CHECK(both.judge(forged(ed25519)) == Verdict::trusted);
}

TEST_CASE("an unknown host is explained with the command that helps") {
  CHECK_THAT(policy("").explain().message,
             Contains("no key for mx") && Contains("ssh-keyscan -p 22 mx"));
}

TEST_CASE("a certificate authority is explained") {
  CHECK_THAT(policy("@cert-authority " + ed25519_line).explain().message,
             Contains("line 1") && Contains("certificate"));
  auto with = policy("@cert-authority " + ed25519_line + ecdsa_line);
  CHECK(with.judge(ed25519) == Verdict::refused);
}

TEST_CASE("a revoked key is refused, also if it is known or pinned") {
  auto known = policy(ed25519_line + "@revoked * ssh-ed25519 " + ed25519_text);
  CHECK(known.judge(ed25519) == Verdict::refused);
  CHECK_THAT(known.explain().message, Contains("@revoked") && Contains("line 2"));
  auto pinned = policy("@revoked mx ssh-ed25519 " + ed25519_text, {ed25519_pin});
  CHECK(pinned.judge(ed25519) == Verdict::refused);
}

TEST_CASE("a pin is tried against each type that the server has") {
  auto pinned = policy("", {ecdsa_pin});
  CHECK(pinned.offer().size() == host_key_types().size());
  CHECK(pinned.judge(ed25519) == Verdict::another_type);
  const auto left = pinned.offer();
  CHECK(std::find(left.begin(), left.end(), "ssh-ed25519") == left.end());
  CHECK(pinned.judge(ecdsa) == Verdict::trusted);
}

TEST_CASE("a pin does not fit: what was seen is named, and it ends") {
  auto pinned = policy(ed25519_line, {"SHA256:" + std::string(43, 'A')});
  CHECK(pinned.judge(ed25519) == Verdict::another_type);  // known_hosts does not count
  CHECK(pinned.judge(ecdsa) == Verdict::another_type);
  CHECK(pinned.judge(ecdsa) == Verdict::refused);  // a server that shows what it was not asked for
  pinned.not_offered({});
  CHECK(pinned.offer().empty());
  CHECK_THAT(pinned.explain().message, Contains(ed25519_pin) && Contains(ecdsa_pin));
}

TEST_CASE("the server has no key of a known type") {
  auto known = policy(ecdsa_line);
  const Types has = {"ssh-ed25519", "rsa-sha2-512"};
  known.not_offered(has);
  CHECK_THAT(known.explain().message,
             Contains("ecdsa-sha2-nistp256") && Contains("ssh-ed25519, rsa-sha2-512"));
}

TEST_CASE("pins") {
  CHECK(canonical_pin(ed25519_pin) == ed25519_pin);
  CHECK(canonical_pin(ed25519_pin + "=") == ed25519_pin);
  for (const char* bad : {"", "SHA256:", "SHA256:abc", "MD5:00:11",
                          "SHA256:c0nTnqBpwqVQkXKxHyfeAHDLDwSPuFQKP6WD5INvTd*",
                          "c0nTnqBpwqVQkXKxHyfeAHDLDwSPuFQKP6WD5INvTdI"})
    CHECK_FALSE(canonical_pin(bad));
}

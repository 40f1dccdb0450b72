#include "recipient/rules.hpp"

#include <algorithm>
#include <string>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::recipient;
using config::Exclusion;

namespace {

Exclusion exclusion(Exclusion::Kind kind, std::string text, int line = 1) {
  return {kind, std::move(text), "rcptsync.yaml", line};
}

Rules compiled(const config::Recipients& recipients) {
  auto rules = Rules::compile(recipients);
  REQUIRE(rules);
  return std::move(*rules);
}

std::string refusal(const config::Recipients& recipients) {
  const auto rules = Rules::compile(recipients);
  REQUIRE(!rules);
  CHECK(rules.error().code == Errc::invalid);
  return rules.error().message;
}

}  // namespace

TEST_CASE("without rules every address stays") {
  const auto rules = compiled({});
  CHECK(rules.judge("a@example.org") == Drop::kept);
  CHECK(rules.entries().empty());
  CHECK(rules.domains().empty());
}

TEST_CASE("domains: exactly these, whatever form they are written in") {
  const auto rules =
      compiled({.domains = {"Example.ORG", "müller.example", "XN--MLLER-KVA.example"},
                .exclude = {},
                .entries = {}});
  CHECK(rules.domains() == std::vector<std::string>{"example.org", "xn--mller-kva.example"});
  CHECK(rules.judge("a@example.org") == Drop::kept);
  CHECK(rules.judge("a@xn--mller-kva.example") == Drop::kept);
  CHECK(rules.judge("a@sub.example.org") == Drop::other_domain);
  CHECK(rules.judge("a@example.org.evil.example") == Drop::other_domain);
  CHECK(rules.judge("\"a@example.org\"@evil.example") == Drop::other_domain);
}

TEST_CASE("exclusions: addresses, domains, expressions, and their lines") {
  using Kind = Exclusion::Kind;
  const auto rules = compiled(
      {.domains = {},
       .exclude = {exclusion(Kind::address, "CEO@Example.org", 3),
                   exclusion(Kind::domain, "müller.example", 4),
                   exclusion(Kind::regex, "^test-", 5), exclusion(Kind::regex, "@STRAßE\\.", 6),
                   exclusion(Kind::regex, "noreply", 7),
                   exclusion(Kind::address, "\"ceo\"@example.org", 8)},
       .entries = {}});
  const auto line_of = [&](std::string_view address) {
    std::uint32_t line = 99;
    const auto drop = rules.judge(address, &line);
    CHECK((drop == Drop::excluded) == (line != 0));
    return line;
  };
  CHECK(line_of("ceo@example.org") == 3);
  CHECK(line_of("ceo2@example.org") == 0);
  CHECK(line_of("x@xn--mller-kva.example") == 4);
  CHECK(line_of("x@sub.xn--mller-kva.example") == 0);
  CHECK(line_of("test-1@example.org") == 5);
  CHECK(line_of("my-test-1@example.org") == 0);
  CHECK(line_of("x@xn--strae-oqa.example") == 6);
  CHECK(line_of("x-noreply-y@example.org") == 7);
  CHECK(line_of("test-noreply@xn--strae-oqa.example") == 5);
}

TEST_CASE("an expression that would stall another engine does not stall this one") {
  const auto rules = compiled(
      {.domains = {}, .exclude = {exclusion(Exclusion::Kind::regex, "^(a+)+$")}, .entries = {}});
  CHECK(rules.judge(std::string(64, 'a') + "@example.org") == Drop::kept);
}

TEST_CASE("entries: sorted, folded, each once, a reject text beats acceptance") {
  const auto rules = compiled({.domains = {},
                               .exclude = {exclusion(Exclusion::Kind::domain, "example.org")},
                               .entries = {{"Postmaster@example.org", "", true, 1},
                                           {"@Partner.example", "", false, 2},
                                           {"gone@example.org", "", false, 3},
                                           {"GONE@example.org", "550 5.1.1 Has left", false, 4},
                                           {"gone@example.org", "550 later", false, 5},
                                           {"postmaster@EXAMPLE.org", "", false, 6}}});
  const auto& entries = rules.entries();
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].address == "@partner.example");
  CHECK(entries[1].address == "gone@example.org");
  CHECK(entries[1].reject == "550 5.1.1 Has left");
  CHECK(entries[1].line == 4);
  CHECK(entries[2].address == "postmaster@example.org");
  CHECK(entries[2].from_always);
}

TEST_CASE("what the configuration cannot mean is refused by name and line") {
  using Kind = Exclusion::Kind;
  CHECK_THAT(refusal({.domains = {}, .exclude = {exclusion(Kind::regex, "(", 12)}, .entries = {}}),
             Catch::Contains("rcptsync.yaml:12") && Catch::Contains("regular expression"));
  CHECK_THAT(
      refusal({.domains = {}, .exclude = {exclusion(Kind::address, "nobody", 9)}, .entries = {}}),
      Catch::Contains("rcptsync.yaml:9") && Catch::Contains("nobody"));
  CHECK_THAT(
      refusal({.domains = {}, .exclude = {exclusion(Kind::domain, "a b", 9)}, .entries = {}}),
      Catch::Contains("not a mail domain"));
  CHECK_THAT(refusal({.domains = {"a/b"}, .exclude = {}, .entries = {}}),
             Catch::Contains("recipients.domains"));
  CHECK_THAT(
      refusal({.domains = {}, .exclude = {}, .entries = {{"@a.example", "550 no", false, 7}}}),
      Catch::Contains("line 7") && Catch::Contains("access(5)"));
  CHECK_THAT(
      refusal({.domains = {}, .exclude = {}, .entries = {{"a@b.example", "550 a\nb", false, 7}}}),
      Catch::Contains("printable"));
  CHECK_THAT(refusal({.domains = {}, .exclude = {}, .entries = {{"a@b@c", "", true, 7}}}),
             Catch::Contains("recipients.always"));
}

TEST_CASE("an object's values are judged in their order") {
  const auto rules = compiled({.domains = {"example.org"},
                               .exclude = {exclusion(Exclusion::Kind::regex, "^test-", 5)},
                               .entries = {}});
  const Value values[] = {{"proxyAddresses", "SMTP:John@Example.org", ""},
                          {"proxyAddresses", "smtp:john@other.example", ""},
                          {"proxyAddresses", "smtp:test-1@example.org", ""},
                          {"proxyAddresses", "smtp:@example.org", ""},
                          {"table", "a@example.org", "550 gone\nroot@example.org OK"},
                          {"table", "b@example.org", "550 gone"},
                          {"mail", "john@example.org", ""}};
  Object object;
  object.key = "k";
  object.values = values;
  const auto judged = rules.judge(object);
  REQUIRE(judged.size() == 7);
  CHECK(judged[0].drop == Drop::kept);
  CHECK(judged[0].canonical == "john@example.org");
  CHECK(judged[0].text == "SMTP:John@Example.org");
  CHECK(judged[0].attribute == "proxyAddresses");
  CHECK(judged[1].drop == Drop::other_domain);
  CHECK(judged[1].canonical == "john@other.example");
  CHECK(judged[2].drop == Drop::excluded);
  CHECK(judged[2].rule_line == 5);
  CHECK(judged[3].drop == Drop::no_at);
  CHECK(judged[3].canonical.empty());
  CHECK(judged[4].drop == Drop::control);
  CHECK(judged[5].drop == Drop::kept);
  CHECK(judged[5].reject == "550 gone");
  CHECK(judged[6].drop == Drop::kept);
  CHECK(judged[6].canonical == judged[0].canonical);
}

TEST_CASE("an object that its source drops loses all its values, and can still be looked up") {
  const auto rules = compiled({});
  const Value values[] = {{"mail", "a@example.org", ""}, {"mail", "nonsense", ""}};
  Object object;
  object.drop = Drop::sender_authentication;
  object.values = values;
  const auto judged = rules.judge(object);
  CHECK(judged[0].drop == Drop::sender_authentication);
  CHECK(judged[0].canonical == "a@example.org");
  CHECK(judged[1].drop == Drop::no_at);
}

TEST_CASE("the fingerprint names what the rules say, not how they are written") {
  using Kind = Exclusion::Kind;
  const config::Recipients base{
      .domains = {"example.org", "example.net"},
      .exclude = {exclusion(Kind::regex, "^a", 3), exclusion(Kind::address, "x@example.org", 4)},
      .entries = {{"a@example.org", "", true, 5}, {"b@example.org", "550 no", false, 6}}};
  const auto print = [](const config::Recipients& r) { return compiled(r).fingerprint(); };
  CHECK(print(base) == print(base));

  auto same = base;
  same.domains = {"Example.NET.", "example.net", "example.org"};
  same.exclude = {exclusion(Kind::address, "X@example.org", 40), exclusion(Kind::regex, "^a", 30),
                  exclusion(Kind::regex, "^a", 31)};
  std::reverse(same.entries.begin(), same.entries.end());
  same.entries[0].line = 77;
  CHECK(print(same) == print(base));

  const auto differs = [&](auto&& change) {
    auto changed = base;
    change(changed);
    return print(changed) != print(base);
  };
  CHECK(differs([](auto& r) { r.domains.pop_back(); }));
  CHECK(differs([](auto& r) { r.domains.clear(); }));
  CHECK(differs([](auto& r) { r.exclude.pop_back(); }));
  CHECK(differs([](auto& r) { r.exclude[0].text = "^b"; }));
  CHECK(differs([](auto& r) { r.exclude[0].kind = Kind::address, r.exclude[0].text = "a@b"; }));
  CHECK(differs([](auto& r) { r.entries.pop_back(); }));
  CHECK(differs([](auto& r) { r.entries[1].reject = "550 gone"; }));
  CHECK(differs([](auto& r) { r.entries[0].from_always = false; }));
}

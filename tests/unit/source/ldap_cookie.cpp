#include "source/ldap_cookie.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

const std::vector<std::string> both{"ldaps://dc1", "ldaps://dc2"};
constexpr std::int64_t now = 1'700'000'000;
constexpr std::int64_t day = 24 * 3600;

Mark mark(std::string origin, Progress progress) {
  return {.cookie = "c", .origin = std::move(origin), .progress = std::move(progress), .note = {}};
}

LdapCookie read_from(const LdapCookie& before, const std::string& server, const Mark& at,
                     std::int64_t when = now) {
  return after_read(before, server, at, "f", !lag(before, server, at, when).empty(), both, when);
}

}  // namespace

TEST_CASE("a cookie comes back as it was, and nothing else does") {
  auto cookie = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}, {"two", "3"}}));
  cookie.lagging = {"ldaps://dc2\xff"};
  cookie.lagging_since = now;
  cookie.note = "note";
  cookie.addresses = {"mail", "cn;lang-de"};
  const auto bytes = to_bytes(cookie);
  const auto back = parse_ldap_cookie(bytes);
  CHECK(to_bytes(back) == bytes);
  REQUIRE(back.mark);
  CHECK(back.mark->progress == cookie.mark->progress);
  CHECK(back.fingerprint == "f");
  CHECK(back.addresses == cookie.addresses);
  CHECK(back.fallback.empty());
  CHECK(has_lagged(back, "ldaps://dc2\xff"));
  const auto empty = to_bytes(LdapCookie{});
  CHECK(to_bytes(parse_ldap_cookie(empty)) == empty);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(to_bytes(parse_ldap_cookie(bytes.substr(0, size))) == empty);
  for (const auto* odd : {"", "null", "[]", "{}", "1", "{\"version\":2}", "\xff"}) {
    CHECK(to_bytes(parse_ldap_cookie(odd)) == empty);
    CHECK(to_bytes(parse_ldap_cookie(with_sum(odd))) == empty);
  }
  // One bad member makes all of it bad.
  const auto content = bytes.substr(bytes.find('{'));
  CHECK(with_sum(content) == bytes);
  auto damaged = content;
  damaged.replace(damaged.find("\"origin\":\""), 11, "\"origin\":\"X");
  CHECK(to_bytes(parse_ldap_cookie(with_sum(damaged))) == empty);
  auto older = content;
  older.replace(older.find("\"version\":3"), 11, "\"version\":1");
  CHECK(to_bytes(parse_ldap_cookie(with_sum(older))) == empty);
}

TEST_CASE("a cookie in which one bit is not as it was is not believed") {
  const auto cookie = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}, {"two", "3"}}));
  const auto bytes = to_bytes(cookie);
  const auto empty = to_bytes(LdapCookie{});
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      auto flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      if (to_bytes(parse_ldap_cookie(flipped)) != empty) FAIL("bit " << bit << " of byte " << at);
    }
}

TEST_CASE("every setting that decides the content is in the fingerprint, and no other") {
  const config::LdapSource plain;
  const auto type = config::SourceType::active_directory;
  const auto same = fingerprint(type, plain);
  const auto changed = [&](auto change) {
    auto settings = plain;
    change(settings);
    return fingerprint(type, settings) != same;
  };
  CHECK(changed([](auto& s) { s.bases = {"dc=x"}; }));
  CHECK(changed([](auto& s) { s.filter = "(mail=*)"; }));
  CHECK(changed([](auto& s) { s.addresses = {"mail"}; }));
  CHECK(changed([](auto& s) { s.fallback = {}; }));
  CHECK(changed([](auto& s) { s.drop_sender_authentication = false; }));
  CHECK(changed([](auto& s) { s.drop_system_mailboxes = false; }));
  CHECK(fingerprint(config::SourceType::ldap, plain) != same);
  CHECK_FALSE(changed([](auto& s) { s.page_size = 5; }));
  CHECK_FALSE(changed([](auto& s) { s.servers.emplace_back(); }));
  CHECK_FALSE(changed([](auto& s) { s.read_timeout = config::Seconds{1}; }));
}

TEST_CASE("a server that has all that was read does not lag") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  CHECK(lag({}, "ldaps://dc2", mark("two", {{"two", "1"}}), now).empty());
  CHECK(lag(first, "ldaps://dc1", mark("one", {{"one", "5"}}), now).empty());
  CHECK(lag(first, "ldaps://dc2", mark("two", {{"two", "1"}, {"one", "5"}}), now).empty());
  // One that does not say.
  CHECK(lag(first, "ldaps://dc2", mark("", {}), now).empty());
}

TEST_CASE("a server that has less lags, and says in what") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  CHECK_THAT(lag(first, "ldaps://dc2", mark("two", {{"two", "9"}, {"one", "4"}}), now),
             Catch::Contains("ldaps://dc2 has not yet all that was read from ldaps://dc1"));
  CHECK_THAT(lag(first, "ldaps://dc2", mark("two", {{"two", "9"}}), now),
             Catch::Contains("has not yet all"));
  CHECK_THAT(lag(first, "ldaps://dc1", mark("one", {{"one", "4"}}), now),
             Catch::Contains("older copy"));
  CHECK_THAT(lag(first, "ldaps://dc1", mark("new", {{"new", "9"}}), now),
             Catch::Contains("another database"));
}

TEST_CASE("what was seen stays required while a server lags, and is raised when it does not") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  const auto behind = mark("two", {{"two", "9"}, {"one", "4"}});
  const auto lagging = read_from(first, "ldaps://dc2", behind);
  CHECK_FALSE(lagging.mark);
  CHECK(has_lagged(lagging, "ldaps://dc2"));
  CHECK_FALSE(has_lagged(lagging, "ldaps://dc1"));
  CHECK_FALSE(lag(lagging, "ldaps://dc2", behind, now + 60).empty());

  const auto level = mark("two", {{"two", "9"}, {"one", "7"}});
  const auto after = read_from(lagging, "ldaps://dc2", level);
  CHECK(after.mark);
  CHECK_FALSE(has_lagged(after, "ldaps://dc2"));
  CHECK(after.lagging_since == 0);
  CHECK_FALSE(lag(after, "ldaps://dc1", mark("one", {{"one", "6"}, {"two", "9"}}), now).empty());
  CHECK_FALSE(lag(after, "ldaps://dc1", mark("one", {{"one", "7"}, {"two", "8"}}), now).empty());
  CHECK(lag(after, "ldaps://dc1", mark("one", {{"one", "7"}, {"two", "9"}}), now).empty());
}

TEST_CASE("a server that is no longer configured is not waited for") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  const auto behind = mark("two", {{"two", "9"}});
  const std::vector<std::string> second_only{"ldaps://dc2"};
  const auto after = after_read(first, "ldaps://dc2", behind, "f", true, second_only, now);
  CHECK(lag(after, "ldaps://dc2", behind, now).empty());
}

TEST_CASE("what nobody has after a day is given up for good") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  const auto behind = mark("two", {{"two", "9"}, {"one", "4"}});
  auto cookie = read_from(first, "ldaps://dc2", behind);
  cookie = read_from(cookie, "ldaps://dc2", behind, now + day);
  CHECK(cookie.lagging_since == now);
  CHECK_FALSE(cookie.mark);
  cookie = read_from(cookie, "ldaps://dc2", behind, now + day + 1);
  CHECK(cookie.mark);
  CHECK(lag(cookie, "ldaps://dc2", behind, now + day + 2).empty());
  // A clock that went back does not wait either.
  const auto lagging = read_from(first, "ldaps://dc2", behind);
  CHECK(lag(lagging, "ldaps://dc2", behind, now - 1).empty());
}

TEST_CASE("a server that does not say how far it is leaves what is known") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  const auto after = read_from(first, "ldaps://dc2", Mark{});
  CHECK_FALSE(after.mark);
  CHECK_FALSE(lag(after, "ldaps://dc1", mark("one", {{"one", "4"}}), now).empty());
}

TEST_CASE("after a server that lagged, one that does not say how far it is confirms nothing") {
  const auto first = read_from({}, "ldaps://dc1", mark("one", {{"one", "5"}}));
  const auto lagging = read_from(first, "ldaps://dc2", mark("two", {{"two", "9"}}));
  CHECK_THAT(lag(lagging, "ldaps://dc1", Mark{}, now + 60), Catch::Contains("does not say"));
  const auto silent = read_from(lagging, "ldaps://dc1", Mark{}, now + 60);
  CHECK(silent.lagging_since == now);
  // One that proves to have all confirms at once; and it does not go on for ever.
  CHECK(lag(silent, "ldaps://dc1", mark("one", {{"one", "5"}}), now + 120).empty());
  CHECK(lag(silent, "ldaps://dc1", Mark{}, now + day + 1).empty());
}

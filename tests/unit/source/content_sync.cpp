#include <array>

#include "catch.hpp"
#include "source/sync_cookie.hpp"
#include "source/sync_refresh.hpp"
#include "source/sync_values.hpp"

using namespace rcptsync;
using namespace rcptsync::source;
using namespace std::string_literals;

namespace {

// An element with a length of one byte.
std::string element(char tag, const std::string& contents) {
  return std::string{tag, static_cast<char>(contents.size())} + contents;
}
std::string octets(const std::string& contents) {
  return element(4, contents);
}
const std::string uuid_a(16, 'a');
const std::string uuid_b(16, 'b');
const std::string uuid_c(16, 'c');
constexpr char sequence = 0x30;
constexpr char set = 0x31;
constexpr char enumerated = 0x0a;
const std::string yes = "\x01\x01\xff";
const std::string no = "\x01\x01\x00"s;

std::string csn(int second, int sid) {
  char text[64];
  std::snprintf(text, sizeof text, "202601310945%02d.123456Z#00000a#%03x#000000", second, sid);
  return text;
}
CsnSet csns(std::initializer_list<std::string> list) {
  CsnSet result;
  for (const auto& one : list) REQUIRE(add_csn(one, result));
  return result;
}

}  // namespace

TEST_CASE("a sync request is what RFC 4533 says") {
  CHECK(sync_request(SyncMode::refresh_only, "") == element(sequence, element(enumerated, "\x01")));
  CHECK(sync_request(SyncMode::refresh_and_persist, "rid=000") ==
        element(sequence, element(enumerated, "\x03") + octets("rid=000")));
}

TEST_CASE("a sync state is read whole or refused") {
  const auto value = element(sequence, element(enumerated, "\x02") + octets(uuid_a) + octets("c"));
  const auto state = parse_sync_state(value);
  REQUIRE(state);
  CHECK(state->kind == SyncState::Kind::modify);
  CHECK(state->uuid == uuid_a);
  CHECK(state->cookie == "c");
  CHECK(parse_sync_state(element(sequence, element(enumerated, "\x01") + octets(uuid_a))));

  CHECK_FALSE(parse_sync_state(""));
  for (std::size_t size = 0; size < value.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(parse_sync_state(std::string_view(value).substr(0, size)));
  }
  CHECK_FALSE(parse_sync_state(value + "x"));
  CHECK_FALSE(parse_sync_state(element(sequence, element(enumerated, "\x04") + octets(uuid_a))));
  CHECK_FALSE(parse_sync_state(element(sequence, element(enumerated, "\x01") + octets("short"))));
  CHECK_FALSE(parse_sync_state(element(sequence, element(enumerated, "\x01"))));
  CHECK_FALSE(parse_sync_state("\x30\x84\xff\xff\xff\xff"));
  CHECK_FALSE(parse_sync_state("\x30\x80\x0a\x01\x01\x00\x00"s));
}

TEST_CASE("a sync done says how it told what is gone") {
  std::string value = element(sequence, "");
  auto done = parse_sync_done(value);
  REQUIRE(done);
  CHECK(done->cookie.empty());
  CHECK_FALSE(done->refresh_deletes);
  value = element(sequence, octets("cookie") + yes);
  done = parse_sync_done(value);
  REQUIRE(done);
  CHECK(done->cookie == "cookie");
  CHECK(done->refresh_deletes);
  done = parse_sync_done(element(sequence, no));
  REQUIRE(done);
  CHECK_FALSE(done->refresh_deletes);
  CHECK_FALSE(parse_sync_done(element(sequence, yes + octets("cookie"))));
  CHECK_FALSE(parse_sync_done(element(sequence, "\x01\x02\xff\xff")));
  CHECK_FALSE(parse_sync_done(octets("cookie")));
}

TEST_CASE("a sync info is one of four") {
  std::string value = element('\x80', "cookie");
  auto info = parse_sync_info(value);
  REQUIRE(info);
  CHECK(info->kind == SyncInfo::Kind::new_cookie);
  CHECK(info->cookie == "cookie");

  value = element('\xa1', octets("c") + no);
  info = parse_sync_info(value);
  REQUIRE(info);
  CHECK(info->kind == SyncInfo::Kind::refresh_delete);
  CHECK_FALSE(info->refresh_done);
  info = parse_sync_info(element('\xa2', ""));
  REQUIRE(info);
  CHECK(info->kind == SyncInfo::Kind::refresh_present);
  CHECK(info->refresh_done);

  value = element('\xa3', yes + element(set, octets(uuid_a) + octets(uuid_b)));
  info = parse_sync_info(value);
  REQUIRE(info);
  CHECK(info->kind == SyncInfo::Kind::id_set);
  CHECK(info->refresh_deletes);
  CHECK(info->uuids == std::vector<std::string_view>{uuid_a, uuid_b});
  info = parse_sync_info(element('\xa3', element(set, "")));
  REQUIRE(info);
  CHECK_FALSE(info->refresh_deletes);

  CHECK_FALSE(parse_sync_info(element('\xa3', yes)));
  CHECK_FALSE(parse_sync_info(element('\xa3', element(set, octets("short")))));
  CHECK_FALSE(parse_sync_info(element('\xa3', element(set, yes))));
  CHECK_FALSE(parse_sync_info(element('\xa4', "")));
  CHECK_FALSE(parse_sync_info(""));
}

TEST_CASE("only a CSN is taken for one, and one for each server") {
  CsnSet set_of;
  CHECK(add_csn(csn(1, 0), set_of));
  CHECK(add_csn(csn(1, 0xabc), set_of));
  CHECK(set_of.contains("abc"));
  CHECK_FALSE(add_csn(csn(2, 0), set_of));
  for (const auto* wrong :
       {"", "20260131094501Z#000001#00#000000", "20260131094501.123456Z#000000#00g#000000",
        "20260131094501.123456Z#000000#001#0000000", "20260131094501.123456+#000000#001#000000"})
    CHECK_FALSE(add_csn(wrong, set_of));
}

TEST_CASE("a server's cookie is read, ours names no server") {
  const auto cookie = parse_sync_cookie("rid=000,sid=001,csn=" + csn(1, 1) + ";" + csn(2, 2) +
                                        ",delcsn=" + csn(1, 1));
  REQUIRE(cookie);
  CHECK(cookie->sid == "001");
  CHECK(cookie->csns == csns({csn(1, 1), csn(2, 2)}));
  CHECK(compose_sync_cookie(cookie->csns) == "rid=000,csn=" + csn(1, 1) + ";" + csn(2, 2));
  CHECK(compose_sync_cookie({}) == "rid=000");
  REQUIRE(parse_sync_cookie("rid=000"));
  CHECK(parse_sync_cookie("rid=000")->csns.empty());

  for (const auto& wrong :
       {""s, "rid=0"s, "csn="s, "csn=x"s, "rid=000,sid=1"s, "csn=" + csn(1, 1) + ";" + csn(2, 1),
        "other=1"s, "host:389#cn=admin:dc=example:2:(mail=*)#1234"s}) {
    CAPTURE(wrong);
    const auto parsed = parse_sync_cookie(wrong);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::foreign);
  }
}

TEST_CASE("marks survive being written and read, damaged ones do not") {
  const std::vector<BaseMark> marks{{"dc=example,dc=test", uuid_a, csns({csn(1, 0), csn(2, 1)})},
                                    {"ou=with\n3:bad,,dc=test", "", csns({csn(5, 0)})}};
  const auto bytes = encode_marks(marks);
  const auto read = decode_marks(bytes);
  REQUIRE(read);
  REQUIRE(read->size() == 2);
  CHECK(encode_marks(*read) == bytes);
  CHECK((*read)[1].base == marks[1].base);
  CHECK((*read)[0].csns == marks[0].csns);

  CHECK_FALSE(decode_marks(""));
  const auto first = encode_marks({marks[0]}).size();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    if (size != first) CHECK_FALSE(decode_marks(std::string_view(bytes).substr(0, size)));
  }
  CHECK_FALSE(decode_marks(bytes + "1:x,"));
}

TEST_CASE("a server goes on only where it has all that was seen") {
  const BaseMark since{"dc=x", uuid_a, csns({csn(3, 0), csn(5, 1)})};
  auto now = since;
  CHECK(cannot_go_on(since, now).empty());
  CHECK(oldest_changed(since.csns, now.csns).empty());

  now.csns = csns({csn(4, 0), csn(5, 1)});
  CHECK(cannot_go_on(since, now).empty());
  CHECK(oldest_changed(since.csns, now.csns) == csn(3, 0));
  now.csns = csns({csn(4, 0), csn(6, 1)});
  CHECK(oldest_changed(since.csns, now.csns) == csn(3, 0));

  now.csns = csns({csn(9, 0), csn(4, 1)});
  CHECK_THAT(cannot_go_on(since, now), Catch::Contains("up to"));
  now.csns = csns({csn(9, 0)});
  CHECK_THAT(cannot_go_on(since, now), Catch::Contains("knows no changes"));
  now.csns = csns({csn(3, 0), csn(5, 1), csn(1, 2)});
  CHECK_THAT(cannot_go_on(since, now), Catch::Contains("first time"));
  now = since;
  now.uuid = uuid_b;
  CHECK_THAT(cannot_go_on(since, now), Catch::Contains("another database"));
  now = since;
  now.base = "dc=y";
  CHECK_FALSE(cannot_go_on(since, now).empty());
}

TEST_CASE("delete phase: what is named as gone is gone, unless it was sent") {
  SyncRefresh refresh;
  refresh.begin();
  REQUIRE(refresh.gone(uuid_a));
  REQUIRE(refresh.gone(uuid_b));
  refresh.sent(uuid_c);
  REQUIRE(refresh.end(true));
  CHECK_FALSE(refresh.unseen_gone());
  CHECK(refresh.removals().size() == 2);

  // An entry that moved into the second base.
  refresh.begin();
  refresh.sent(uuid_a);
  REQUIRE(refresh.end(true));
  REQUIRE(refresh.removals().size() == 1);
  CHECK(refresh.removals().front().front() == 'b');
}

TEST_CASE("an entry that moved into an earlier base is there") {
  SyncRefresh refresh;
  refresh.begin();
  refresh.sent(uuid_a);
  REQUIRE(refresh.end(true));
  refresh.begin();
  REQUIRE(refresh.gone(uuid_a));
  REQUIRE(refresh.end(true));
  CHECK(refresh.removals().empty());
}

TEST_CASE("present phase: what was not named is gone") {
  SyncRefresh refresh;
  refresh.begin();
  REQUIRE(refresh.present(uuid_a, true));
  REQUIRE(refresh.present(uuid_b, false));
  refresh.sent(uuid_b);  // OpenLDAP names new entries first
  REQUIRE(refresh.end(false));
  CHECK(refresh.unseen_gone());
  CHECK(refresh.removals().empty());
}

TEST_CASE("what does not fit together is doubt") {
  SyncRefresh refresh;
  refresh.begin();
  SECTION("an unknown entry that was never sent") {
    REQUIRE(refresh.present(uuid_a, false));
    CHECK_FALSE(refresh.end(false));
  }
  SECTION("names of what is gone, but what is unseen is to be gone") {
    REQUIRE(refresh.gone(uuid_a));
    CHECK_FALSE(refresh.end(false));
  }
  SECTION("names of what is there, but what is unseen is to stay") {
    REQUIRE(refresh.present(uuid_a, true));
    CHECK_FALSE(refresh.end(true));
  }
  SECTION("both") {
    REQUIRE(refresh.present(uuid_a, true));
    REQUIRE(refresh.gone(uuid_b));
    CHECK_FALSE(refresh.end(true));
  }
  SECTION("one base this way, the next that way") {
    REQUIRE(refresh.end(true));
    refresh.begin();
    REQUIRE(refresh.present(uuid_a, true));
    CHECK_FALSE(refresh.end(false));
  }
}

TEST_CASE("a server that never ends naming entries is refused") {
  SyncRefresh refresh;
  refresh.begin();
  Result<> taken;
  std::array<char, sync_uuid_size> uuid{};
  for (std::uint32_t i = 0; taken && i < 1'000'000; ++i) {
    std::copy_n(reinterpret_cast<const char*>(&i), sizeof i, uuid.begin());
    taken = refresh.present({uuid.data(), uuid.size()}, false);
  }
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Errc::foreign);
}

#include "store/codec.hpp"

#include "base/random.hpp"
#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::store;

namespace {

constexpr auto entry = recipient::ObjectClass::entry;
const std::string odd("\0\xff\n\x80 \"", 6);

ObjectRecord an_object() {
  ObjectRecord record;
  record.hash = {0x0123456789abcdefULL, ~0ULL};
  record.origin = "CN=" + odd;
  record.kind = recipient::ObjectClass::entry;
  record.drop = recipient::Drop::system_object;
  record.values_not_kept = ~0ULL;
  record.values.push_back({"mail", odd, "a@example.com", "550 no", recipient::Drop::excluded, ~0U});
  record.values.push_back({});
  return record;
}

Hold a_hold() {
  return {sha256("x"), WallTime::min(), 1, ~0ULL, "too many; " + odd, 129};
}

TargetRecord a_target() {
  TargetRecord record;
  record.location = "mx2.example.net:22";
  record.digest = sha256("a");
  record.access_digest = sha256("b");
  record.generation = 300;
  record.last_success = WallTime::max();
  record.last_error = odd;
  record.attempts = 77;
  record.judged = true;
  record.hold = a_hold();
  record.approved = sha256("h");
  return record;
}

template <class Record>
std::string bytes_of(const Record& record) {
  std::string bytes = "what was there before";
  codec::encode(record, bytes);
  return bytes;
}

// Encodes, decodes into memory that was used before, encodes again; also every shorter and one
// longer string is refused.
template <class Record>
void check_round_trip(const Record& record, Record used) {
  const auto bytes = bytes_of(record);
  REQUIRE(codec::decode(bytes, used));
  CHECK(bytes_of(used) == bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(codec::decode(std::string_view(bytes).substr(0, size), used));
  CHECK_FALSE(codec::decode(bytes + '\0', used));
  auto newer = bytes;
  newer[0] = 3;
  CHECK_FALSE(codec::decode(newer, used));
}

template <class Record>
void check_hostile(Random& random, const std::string& good) {
  Record record;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = good;
    if (round % 4 == 0) bytes.resize(random.next() % 64);
    for (auto left = 1 + random.next() % 4; left > 0 && !bytes.empty(); --left)
      bytes[random.next() % bytes.size()] = static_cast<char>(random.next());
    // One text for one meaning: nothing decodes that was not encoded so.
    if (codec::decode(bytes, record)) REQUIRE(bytes_of(record) == bytes);
  }
}

}  // namespace

TEST_CASE("every record comes back from its bytes, and from nothing shorter or longer") {
  Meta meta{2, "abc", ~0ULL, sha256("r"), 127, 128, 16384, 1, {1, 2, 3, 4, 5, ~0ULL}};
  check_round_trip(meta, Meta{});
  check_round_trip(
      SourceRecord{0, "corp", "ldap", true, "dc1", 5, 6, odd, true, false, sha256("s"), 7},
      SourceRecord{});
  check_round_trip(SourceRecord{0, "corp", "ldap", true, "dc1", 5, 6, odd, false, true},
                   SourceRecord{});
  check_round_trip(an_object(), an_object());
  check_round_trip(ObjectRecord{}, an_object());
  check_round_trip(RecipientRecord{odd, 1ULL << 63, true, 0xffff, entry},
                   RecipientRecord{"used", 1, false});
  check_round_trip(OwnerView{0, "", entry, odd}, OwnerView{});
  check_round_trip(HeldRecord{odd, true}, HeldRecord{});
  check_round_trip(Refusal{{}, WallTime::max(), odd, ~0ULL}, Refusal{});
  check_round_trip(sha256("d"), Digest{});
  check_round_trip(WallTime::min(), WallTime{});
  check_round_trip(ChangeView{Operation::changed, "", odd, "450", 0xffff, entry}, ChangeView{});
  check_round_trip(codec::Nothing{}, codec::Nothing{});
  check_round_trip(DomainRecord{1, 2}, DomainRecord{});
  check_round_trip(a_hold(), Hold{});
  check_round_trip(TargetRecord{}, a_target());
  check_round_trip(a_target(), TargetRecord{});
  Generation generation{0, WallTime{}, Cause::notification, 1, 2, 3, 4, sha256("g")};
  check_round_trip(codec::StoredGeneration{generation, 9}, codec::StoredGeneration{});
}

TEST_CASE("the fields themselves survive") {
  ObjectRecord object;
  REQUIRE(codec::decode(bytes_of(an_object()), object));
  CHECK(object == an_object());
  StoredHash hash;
  REQUIRE(codec::decode_hash(bytes_of(an_object()), hash));
  CHECK(hash == an_object().hash);
  TargetRecord target;
  REQUIRE(codec::decode(bytes_of(a_target()), target));
  CHECK(target.location == "mx2.example.net:22");
  CHECK(target.last_success == WallTime::max());
  CHECK_FALSE(target.next_attempt);
  CHECK(target.hold == a_hold());
  CHECK(target.attempts == 77);
  CHECK(target.approved == sha256("h"));
  RecipientRecord row;
  REQUIRE(codec::decode(bytes_of(RecipientRecord{odd, 7, true, 300, entry}), row));
  CHECK(row == RecipientRecord{odd, 7, true, 300, entry});
  HeldRecord held;
  REQUIRE(codec::decode(bytes_of(HeldRecord{odd, true}), held));
  CHECK(held == HeldRecord{odd, true});
}

TEST_CASE("the bytes of a record are those of schema 2") {
  // A state must be readable by later versions: this text changes only with the schema number.
  CHECK(bytes_of(RecipientRecord{"550 x", 300, true, 200, entry}) ==
        std::string("\x02\xac\x02\x01\xc8\x01\x05\x05"
                    "550 x"));
  CHECK(bytes_of(OwnerView{3, "key", entry, "ab"}) ==
        "\x02\x05\x02"
        "ab");
  codec::ChangesWriter piece;
  piece.add({Operation::added, "anna@example.com", {}, {}, 1, entry});
  piece.add({Operation::changed, "anne@example.com", "550 x", "450 y", 1, entry});
  piece.add({Operation::removed, "b", {}, "450 y", 2, recipient::ObjectClass::other});
  CHECK(piece.bytes() == std::string("\x02"
                                     "\x35\x01\0\0\x10"
                                     "anna@example.com"
                                     "\xd7\x03\x0c\x01"
                                     "e\x05"
                                     "550 x\x05"
                                     "450 y"
                                     "\xa2\x02\0\0\x01"
                                     "b\0",
                                     46));
}

TEST_CASE("no bytes make the decoder take memory or read beyond them") {
  SeededRandom random(20240229);
  check_hostile<ObjectRecord>(random, bytes_of(an_object()));
  check_hostile<TargetRecord>(random, bytes_of(a_target()));
  check_hostile<SourceRecord>(random, bytes_of(SourceRecord{0, "c", "l", true, "d", 5, 6, "e"}));
  check_hostile<codec::StoredGeneration>(random, bytes_of(codec::StoredGeneration{}));
  check_hostile<RecipientRecord>(random, bytes_of(RecipientRecord{"550", 7, true}));
  check_hostile<HeldRecord>(random, bytes_of(HeldRecord{"550", true}));
  check_hostile<Refusal>(random, bytes_of(Refusal{{}, WallTime{}, "root", 300}));
  check_hostile<OwnerView>(random, bytes_of(OwnerView{0, "", entry, "550"}));
  check_hostile<ChangeView>(random,
                            bytes_of(ChangeView{Operation::changed, "", "550", "450", 1, entry}));

  // A count of 2^60 values, a text of 2^63 bytes.
  std::string bytes(1, '\x01');
  bytes += std::string(16, 'h') + std::string("\0\0\0\0", 4);
  ObjectRecord object;
  CHECK_FALSE(codec::decode(bytes + std::string(8, '\x80') + "\x10", object));
  std::string_view text_of_huge_size("\x02\x05\xff\xff\xff\xff\xff\xff\xff\xff\x7fxx");
  OwnerView owner;
  CHECK_FALSE(codec::decode(text_of_huge_size, owner));
}

TEST_CASE("a number has one form only") {
  DomainRecord record;
  CHECK(codec::decode(std::string("\x01\x05\x05", 3), record));
  CHECK_FALSE(codec::decode(std::string("\x01\x85\x00\x05", 4), record));
  // 2^64
  CHECK_FALSE(
      codec::decode(std::string("\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x05"), record));
}

TEST_CASE("changes are read one after the other until the reader has enough") {
  codec::ChangesWriter writer;
  CHECK(writer.empty());
  const std::vector<Change> all{{Operation::added, "a@example.com", "", "", 1, entry},
                                {Operation::removed, "aa@example.com", "", odd, 1, entry},
                                {Operation::changed, "aaa@example.com", "450", odd, 0, {}},
                                {Operation::changed, "b", "450", "", 0xffff, entry},
                                {Operation::changed, "bb", "", "450", 0xffff, {}}};
  for (const auto& change : all) writer.add(view_of(change));
  std::vector<Change> seen;
  bool stopped = false;
  REQUIRE(codec::decode_changes(
      writer.bytes(), [&](const Change& change) { return seen.push_back(change), true; }, stopped));
  CHECK(seen == all);
  CHECK_FALSE(stopped);
  seen.clear();
  REQUIRE(codec::decode_changes(
      writer.bytes(), [&](const Change& change) { return seen.push_back(change), false; },
      stopped));
  CHECK(seen.size() == 1);
  CHECK(stopped);
  const auto cut = writer.bytes().substr(0, writer.bytes().size() - 1);
  CHECK_FALSE(codec::decode_changes(
      cut, [](const Change&) { return true; }, stopped));
}

TEST_CASE("a seal fits its key and its record only") {
  std::string record = bytes_of(RecipientRecord{"", 1, true});
  const auto plain = record;
  codec::seal("a@example.com", record);
  CHECK(codec::unseal("a@example.com", record) == plain);
  CHECK_FALSE(codec::unseal("b@example.com", record));
  for (std::size_t i = 0; i < record.size() * 8; ++i) {
    auto flipped = record;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ 1 << i % 8);
    CHECK_FALSE(codec::unseal("a@example.com", flipped));
  }
  for (std::size_t size = 0; size < record.size(); ++size)
    CHECK_FALSE(codec::unseal("a@example.com", std::string_view(record).substr(0, size)));
}

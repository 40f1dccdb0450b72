#include "store/codec.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "store/bytes.hpp"
#include "store/schema.hpp"

namespace rcptsync::store::codec {
namespace {

// The schema in which a record got its present form.
constexpr std::uint8_t first = 1;
constexpr std::uint8_t second = 2;

constexpr auto last_class = recipient::ObjectClass::entry;
static_assert(class_count == static_cast<std::size_t>(last_class) + 1);

void write_hold(Writer& writer, const Hold& hold) {
  writer.digest(hold.digest);
  writer.time(hold.since);
  writer.varint(hold.added);
  writer.varint(hold.removed);
  writer.text(hold.reason);
  writer.varint(hold.by_configuration);
}

void read_hold(Reader& reader, Hold& hold) {
  hold.digest = reader.digest();
  hold.since = reader.time();
  hold.added = reader.varint();
  hold.removed = reader.varint();
  hold.reason = reader.text();
  hold.by_configuration = reader.varint();
}

recipient::ObjectClass read_kind(Reader& reader) {
  return reader.choice(recipient::ObjectClass::other, last_class);
}

SourceId read_source(Reader& reader) {
  const auto source = reader.varint();
  if (source > std::numeric_limits<SourceId>::max()) reader.fail();
  return static_cast<SourceId>(source);
}

constexpr auto least_drop = recipient::Drop::kept;
constexpr auto most_drop = recipient::Drop::system_object;

// Four empty strings, a verdict and a line.
constexpr std::size_t least_value_size = 6;

}  // namespace

void encode(const Meta& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.varint(record.schema);
  writer.text(record.state_id);
  writer.u64(record.hash_seed);
  writer.digest(record.rules);
  writer.varint(record.generation);
  writer.varint(record.accepted);
  writer.varint(record.supplied);
  writer.varint(record.pinned);
  for (const auto rows : record.classes) writer.varint(rows);
}

bool decode(std::string_view bytes, Meta& out) {
  Reader reader(bytes, second);
  out.schema = reader.varint32();
  out.state_id = reader.text();
  out.hash_seed = reader.u64();
  out.rules = reader.digest();
  out.generation = reader.varint();
  out.accepted = reader.varint();
  out.supplied = reader.varint();
  out.pinned = reader.varint();
  for (auto& rows : out.classes) rows = reader.varint();
  return reader.done();
}

void encode(const SourceRecord& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.text(record.name);
  writer.text(record.type);
  writer.flag(record.read_completely);
  writer.text(record.server);
  writer.varint(record.objects);
  writer.varint(record.recipients);
  writer.text(record.cookie);
  writer.u8(static_cast<std::uint8_t>((record.removed ? 1 : 0) | (record.unconfirmed ? 2 : 0)));
  writer.digest(record.settings);
  writer.varint(record.accepted);
}

bool decode(std::string_view bytes, SourceRecord& out) {
  Reader reader(bytes, second);
  out.name = reader.text();
  out.type = reader.text();
  out.read_completely = reader.flag();
  out.server = reader.text();
  out.objects = reader.varint();
  out.recipients = reader.varint();
  out.cookie = reader.text();
  const auto marks = reader.u8_up_to(3);
  out.removed = (marks & 1) != 0;
  out.unconfirmed = (marks & 2) != 0;
  out.settings = reader.digest();
  out.accepted = reader.varint();
  return reader.done();
}

void encode(const ObjectRecord& record, std::string& out) {
  auto writer = Writer::begin(out, first);
  writer.u64(record.hash.low);  // first, where decode_hash() looks for it
  writer.u64(record.hash.high);
  writer.text(record.origin);
  writer.u8(static_cast<std::uint8_t>(record.kind));
  writer.u8(static_cast<std::uint8_t>(record.drop));
  writer.varint(record.values_not_kept);
  writer.varint(record.values.size());
  for (const auto& value : record.values) {
    writer.text(value.attribute);
    writer.text(value.text);
    writer.text(value.canonical);
    writer.text(value.reject);
    writer.u8(static_cast<std::uint8_t>(value.drop));
    writer.varint(value.rule_line);
  }
}

bool decode(std::string_view bytes, ObjectRecord& out) {
  Reader reader(bytes, first);
  out.hash.low = reader.u64();
  out.hash.high = reader.u64();
  out.origin = reader.text();
  out.kind = read_kind(reader);
  out.drop = reader.choice(least_drop, most_drop);
  out.values_not_kept = reader.varint();
  const auto count = reader.varint();
  // Memory is taken for what can be there, not for what a damaged count claims.
  if (count > reader.left() / least_value_size) return false;
  out.values.resize(static_cast<std::size_t>(count));
  for (auto& value : out.values) {
    value.attribute = reader.text();
    value.text = reader.text();
    value.canonical = reader.text();
    value.reject = reader.text();
    value.drop = reader.choice(least_drop, most_drop);
    value.rule_line = reader.varint32();
    if (!reader.good()) return false;
  }
  return reader.done();
}

bool decode_hash(std::string_view bytes, StoredHash& out) {
  Reader reader(bytes, first);
  out.low = reader.u64();
  out.high = reader.u64();
  return reader.good();
}

void encode(const RecipientRecord& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.varint(record.since);
  writer.flag(record.supplied);
  writer.varint(record.source);
  writer.u8(static_cast<std::uint8_t>(record.kind));
  writer.text(record.reject);
}

bool decode(std::string_view bytes, RecipientRecord& out) {
  Reader reader(bytes, second);
  out.since = reader.varint();
  out.supplied = reader.flag();
  out.source = read_source(reader);
  out.kind = read_kind(reader);
  out.reject = reader.text();
  return reader.done();
}

void encode(const DomainRecord& record, std::string& out) {
  auto writer = Writer::begin(out, first);
  writer.varint(record.accepted);
  writer.varint(record.supplied);
}

bool decode(std::string_view bytes, DomainRecord& out) {
  Reader reader(bytes, first);
  out.accepted = reader.varint();
  out.supplied = reader.varint();
  return reader.done();
}

void encode(const Hold& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  write_hold(writer, record);
}

bool decode(std::string_view bytes, Hold& out) {
  Reader reader(bytes, second);
  read_hold(reader, out);
  return reader.done();
}

void encode(const StoredGeneration& record, std::string& out) {
  const auto& generation = record.generation;
  auto writer = Writer::begin(out, first);
  writer.time(generation.time);
  writer.u8(static_cast<std::uint8_t>(generation.cause));
  writer.varint(generation.added);
  writer.varint(generation.removed);
  writer.varint(generation.changed);
  writer.varint(generation.total);
  writer.digest(generation.digest);
  writer.varint(record.pieces);
}

bool decode(std::string_view bytes, StoredGeneration& out) {
  auto& generation = out.generation;
  Reader reader(bytes, first);
  generation.time = reader.time();
  generation.cause = reader.choice(Cause::schedule, Cause::notification);
  generation.added = reader.varint();
  generation.removed = reader.varint();
  generation.changed = reader.varint();
  generation.total = reader.varint();
  generation.digest = reader.digest();
  out.pieces = reader.varint32();
  return reader.done();
}

void encode(const TargetRecord& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.text(record.location);
  writer.digest(record.digest);
  writer.digest(record.access_digest);
  writer.varint(record.generation);
  writer.time(record.last_success);
  writer.text(record.last_error);
  writer.varint(record.attempts);
  writer.time(record.next_attempt);
  writer.flag(record.judged);
  writer.flag(record.hold.has_value());
  if (record.hold) write_hold(writer, *record.hold);
  writer.digest(record.approved);
}

bool decode(std::string_view bytes, TargetRecord& out) {
  Reader reader(bytes, second);
  out.location = reader.text();
  out.digest = reader.digest();
  out.access_digest = reader.digest();
  out.generation = reader.varint();
  out.last_success = reader.optional_time();
  out.last_error = reader.text();
  out.attempts = reader.varint32();
  out.next_attempt = reader.optional_time();
  out.judged = reader.flag();
  out.hold.reset();
  if (reader.flag()) read_hold(reader, out.hold.emplace());
  out.approved = reader.digest();
  return reader.done();
}

void encode(const OwnerView& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.u8(static_cast<std::uint8_t>(record.kind));
  writer.text(record.reject);
}

bool decode(std::string_view bytes, OwnerView& out) {
  Reader reader(bytes, second);
  out.kind = read_kind(reader);
  out.reject = reader.text();
  return reader.done();
}

void encode(const HeldRecord& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.flag(record.by_configuration);
  writer.text(record.reject);
}

bool decode(std::string_view bytes, HeldRecord& out) {
  Reader reader(bytes, second);
  out.by_configuration = reader.flag();
  out.reject = reader.text();
  return reader.done();
}

void encode(const Digest& record, std::string& out) {
  Writer::begin(out, second).digest(record);
}

bool decode(std::string_view bytes, Digest& out) {
  Reader reader(bytes, second);
  out = reader.digest();
  return reader.done();
}

void encode(const WallTime& record, std::string& out) {
  Writer::begin(out, second).time(record);
}

bool decode(std::string_view bytes, WallTime& out) {
  Reader reader(bytes, second);
  out = reader.time();
  return reader.done();
}

void encode(const Refusal& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.time(record.time);
  writer.text(record.by);
  writer.varint(record.count);
}

bool decode(std::string_view bytes, Refusal& out) {
  Reader reader(bytes, second);
  out.time = reader.time();
  out.by = reader.text();
  out.count = reader.varint();
  return reader.done();
}

void encode(const ChangeView& record, std::string& out) {
  auto writer = Writer::begin(out, second);
  writer.u8(static_cast<std::uint8_t>(record.operation));
  writer.u8(static_cast<std::uint8_t>(record.kind));
  writer.varint(record.source);
  writer.text(record.reject);
  writer.text(record.before);
}

bool decode(std::string_view bytes, ChangeView& out) {
  Reader reader(bytes, second);
  out.operation = reader.choice(Operation::added, Operation::changed);
  out.kind = read_kind(reader);
  out.source = read_source(reader);
  out.reject = reader.text();
  out.before = reader.text();
  return reader.done();
}

void encode(Nothing /*record*/, std::string& out) {
  Writer::begin(out, second);
}

bool decode(std::string_view bytes, Nothing& /*out*/) {
  return Reader(bytes, second).done();
}

namespace {

std::uint32_t checksum(std::string_view key, std::string_view record) {
  const auto seed = XXH3_64bits(key.data(), key.size());
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(record.data(), record.size(), seed));
}

}  // namespace

void seal(std::string_view key, std::string& record) {
  const auto sum = checksum(key, record);
  for (int shift = 24; shift >= 0; shift -= 8)
    record.push_back(static_cast<char>(sum >> shift & 0xff));
}

std::optional<std::string_view> unseal(std::string_view key, std::string_view sealed) {
  if (sealed.size() < seal_size) return std::nullopt;
  const auto record = sealed.substr(0, sealed.size() - seal_size);
  std::uint32_t stored = 0;
  for (const char byte : sealed.substr(record.size()))
    stored = stored << 8 | static_cast<unsigned char>(byte);
  if (stored != checksum(key, record)) return std::nullopt;
  return record;
}

}  // namespace rcptsync::store::codec

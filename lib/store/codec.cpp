#include "store/codec.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <limits>

namespace rcptsync::store::codec {
namespace {

constexpr std::uint8_t version = 1;

class Writer {
 public:
  /// Goes on behind what is there.
  explicit Writer(std::string& out) : out_(out) {}
  /// Begins a record anew.
  static Writer begin(std::string& out) {
    out.clear();
    Writer writer(out);
    writer.u8(version);
    return writer;
  }

  void u8(std::uint8_t number) { out_.push_back(static_cast<char>(number)); }
  void flag(bool value) { u8(value ? 1 : 0); }
  void u64(std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8)
      u8(static_cast<std::uint8_t>(number >> shift & 0xff));
  }
  void varint(std::uint64_t number) {
    while (number >= 0x80) {
      u8(static_cast<std::uint8_t>(number | 0x80));
      number >>= 7;
    }
    u8(static_cast<std::uint8_t>(number));
  }
  void text(std::string_view bytes) {
    varint(bytes.size());
    out_.append(bytes);
  }
  void digest(const Digest& digest) {
    for (const auto byte : digest.bytes) u8(byte);
  }
  void time(WallTime time) {
    u64(static_cast<std::uint64_t>(std::chrono::nanoseconds(time.time_since_epoch()).count()));
  }
  void time(const std::optional<WallTime>& moment) {
    flag(moment.has_value());
    if (moment) time(*moment);
  }

 private:
  std::string& out_;
};

// After the first fault everything reads as zero or empty, and done() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {
    if (u8() != version) fail();
  }

  std::uint8_t u8() {
    if (rest_.empty()) {
      fail();
      return 0;
    }
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  /// A number from `least` to `most`.
  template <class Enum>
  Enum choice(Enum least, Enum most) {
    const auto number = u8();
    if (number < static_cast<std::uint8_t>(least) || number > static_cast<std::uint8_t>(most)) {
      fail();
      return least;
    }
    return static_cast<Enum>(number);
  }
  /// A number from 0 to `most`.
  std::uint8_t u8_up_to(std::uint8_t most) {
    const auto number = u8();
    if (number <= most) return number;
    fail();
    return 0;
  }
  bool flag() { return u8_up_to(1) == 1; }
  std::uint64_t u64() {
    std::uint64_t number = 0;
    for (int i = 0; i < 8; ++i) number = number << 8 | u8();
    return number;
  }
  std::uint64_t varint() {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = u8();
      const std::uint64_t part = byte & 0x7fU;
      if (shift == 63 && part > 1) break;
      number |= part << shift;
      if ((byte & 0x80) != 0) continue;
      if (shift > 0 && part == 0) break;  // longer than it had to be
      return number;
    }
    fail();
    return 0;
  }
  std::uint32_t varint32() {
    const auto number = varint();
    if (number > std::numeric_limits<std::uint32_t>::max()) {
      fail();
      return 0;
    }
    return static_cast<std::uint32_t>(number);
  }
  std::string_view text() {
    const auto size = varint();
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const auto bytes = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  Digest digest() {
    Digest digest;
    for (auto& byte : digest.bytes) byte = u8();
    return digest;
  }
  WallTime time() {
    return WallTime(std::chrono::duration_cast<WallTime::duration>(
        std::chrono::nanoseconds(static_cast<std::int64_t>(u64()))));
  }
  std::optional<WallTime> optional_time() {
    if (!flag()) return std::nullopt;
    return time();
  }

  [[nodiscard]] std::size_t left() const { return rest_.size(); }
  [[nodiscard]] bool good() const { return good_; }
  /// Everything was there and nothing is left over.
  [[nodiscard]] bool done() const { return good_ && rest_.empty(); }

 private:
  void fail() {
    good_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool good_ = true;
};

void write_hold(Writer& writer, const Hold& hold) {
  writer.digest(hold.digest);
  writer.time(hold.since);
  writer.varint(hold.added);
  writer.varint(hold.removed);
  writer.text(hold.reason);
}

void read_hold(Reader& reader, Hold& hold) {
  hold.digest = reader.digest();
  hold.since = reader.time();
  hold.added = reader.varint();
  hold.removed = reader.varint();
  hold.reason = reader.text();
}

constexpr auto least_drop = recipient::Drop::kept;
constexpr auto most_drop = recipient::Drop::system_object;

// Four empty strings, a verdict and a line.
constexpr std::size_t least_value_size = 6;

}  // namespace

void encode(const Meta& record, std::string& out) {
  auto writer = Writer::begin(out);
  writer.varint(record.schema);
  writer.text(record.state_id);
  writer.u64(record.hash_seed);
  writer.digest(record.rules);
  writer.varint(record.generation);
  writer.varint(record.accepted);
  writer.varint(record.supplied);
  writer.varint(record.pinned);
}

bool decode(std::string_view bytes, Meta& out) {
  Reader reader(bytes);
  out.schema = reader.varint32();
  out.state_id = reader.text();
  out.hash_seed = reader.u64();
  out.rules = reader.digest();
  out.generation = reader.varint();
  out.accepted = reader.varint();
  out.supplied = reader.varint();
  out.pinned = reader.varint();
  return reader.done();
}

void encode(const SourceRecord& record, std::string& out) {
  auto writer = Writer::begin(out);
  writer.text(record.name);
  writer.text(record.type);
  writer.flag(record.read_completely);
  writer.text(record.server);
  writer.varint(record.objects);
  writer.varint(record.recipients);
  writer.text(record.cookie);
  writer.u8(static_cast<std::uint8_t>((record.removed ? 1 : 0) | (record.unconfirmed ? 2 : 0)));
}

bool decode(std::string_view bytes, SourceRecord& out) {
  Reader reader(bytes);
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
  return reader.done();
}

void encode(const ObjectRecord& record, std::string& out) {
  auto writer = Writer::begin(out);
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
  Reader reader(bytes);
  out.hash.low = reader.u64();
  out.hash.high = reader.u64();
  out.origin = reader.text();
  out.kind = reader.choice(recipient::ObjectClass::other, recipient::ObjectClass::entry);
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
  Reader reader(bytes);
  out.low = reader.u64();
  out.high = reader.u64();
  return reader.good();
}

void encode(const RecipientRecord& record, std::string& out) {
  auto writer = Writer::begin(out);
  writer.varint(record.since);
  writer.flag(record.supplied);
  writer.text(record.reject);
}

bool decode(std::string_view bytes, RecipientRecord& out) {
  Reader reader(bytes);
  out.since = reader.varint();
  out.supplied = reader.flag();
  out.reject = reader.text();
  return reader.done();
}

void encode(const DomainRecord& record, std::string& out) {
  auto writer = Writer::begin(out);
  writer.varint(record.accepted);
  writer.varint(record.supplied);
}

bool decode(std::string_view bytes, DomainRecord& out) {
  Reader reader(bytes);
  out.accepted = reader.varint();
  out.supplied = reader.varint();
  return reader.done();
}

void encode(const Hold& record, std::string& out) {
  auto writer = Writer::begin(out);
  write_hold(writer, record);
}

bool decode(std::string_view bytes, Hold& out) {
  Reader reader(bytes);
  read_hold(reader, out);
  return reader.done();
}

void encode(const StoredGeneration& record, std::string& out) {
  const auto& generation = record.generation;
  auto writer = Writer::begin(out);
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
  Reader reader(bytes);
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
  auto writer = Writer::begin(out);
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
}

bool decode(std::string_view bytes, TargetRecord& out) {
  Reader reader(bytes);
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
  return reader.done();
}

void encode_text(std::string_view text, std::string& out) {
  auto writer = Writer::begin(out);
  writer.text(text);
}

std::optional<std::string_view> decode_text(std::string_view bytes) {
  Reader reader(bytes);
  const auto text = reader.text();
  if (!reader.done()) return std::nullopt;
  return text;
}

void ChangesWriter::clear() {
  Writer::begin(bytes_);
}

void ChangesWriter::add(const ChangeView& change) {
  Writer writer(bytes_);
  writer.u8(static_cast<std::uint8_t>(change.operation));
  writer.text(change.address);
  writer.text(change.reject);
}

bool decode_changes(std::string_view bytes, const std::function<bool(const Change&)>& visit,
                    bool& stopped) {
  Reader reader(bytes);
  Change change;
  while (reader.good() && reader.left() > 0) {
    change.operation = reader.choice(Operation::added, Operation::changed);
    change.address = reader.text();
    change.reject = reader.text();
    if (!reader.good()) return false;
    if (!visit(change)) {
      stopped = true;
      return true;
    }
  }
  return reader.done();
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

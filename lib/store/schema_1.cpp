#include "store/schema_1.hpp"

#include "store/bytes.hpp"

namespace rcptsync::store::schema_1 {
namespace {

using codec::Reader;

constexpr std::uint8_t version = 1;

void read_hold(Reader& reader, Hold& hold) {
  hold.digest = reader.digest();
  hold.since = reader.time();
  hold.added = reader.varint();
  hold.removed = reader.varint();
  hold.reason = reader.text();
}

}  // namespace

bool decode(std::string_view bytes, Meta& out) {
  Reader reader(bytes, version);
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

bool decode(std::string_view bytes, SourceRecord& out) {
  Reader reader(bytes, version);
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

bool decode(std::string_view bytes, RecipientRecord& out) {
  Reader reader(bytes, version);
  out.since = reader.varint();
  out.supplied = reader.flag();
  out.reject = reader.text();
  return reader.done();
}

bool decode(std::string_view bytes, Hold& out) {
  Reader reader(bytes, version);
  read_hold(reader, out);
  return reader.done();
}

bool decode(std::string_view bytes, TargetRecord& out) {
  Reader reader(bytes, version);
  out.location = reader.text();
  out.digest = reader.digest();
  out.access_digest = reader.digest();
  out.generation = reader.varint();
  out.last_success = reader.optional_time();
  out.last_error = reader.text();
  out.attempts = reader.varint32();
  out.next_attempt = reader.optional_time();
  out.judged = reader.flag();
  if (reader.flag()) read_hold(reader, out.hold.emplace());
  return reader.done();
}

bool decode(std::string_view bytes, OwnerView& out) {
  Reader reader(bytes, version);
  out.reject = reader.text();
  return reader.done();
}

bool decode(std::string_view bytes, HeldRecord& out) {
  Reader reader(bytes, version);
  out.reject = reader.text();
  return reader.done();
}

bool decode_changes(std::string_view bytes, const std::function<void(const ChangeView&)>& visit) {
  Reader reader(bytes, version);
  while (reader.good() && reader.left() > 0) {
    ChangeView change;
    change.operation = reader.choice(Operation::added, Operation::changed);
    change.address = reader.text();
    const auto text = reader.text();
    (change.operation == Operation::removed ? change.before : change.reject) = text;
    if (!reader.good()) return false;
    visit(change);
  }
  return reader.done();
}

}  // namespace rcptsync::store::schema_1

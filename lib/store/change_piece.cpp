// A piece is a version byte and its changes, one behind the other. Neighbours have much in common,
// so a change says only what is new: how many octets its address has in common with the one before,
// at its beginning and, of the rest, at its end, and the octets between; its source and its texts
// only if they are others than those before.
//
//   head: operation 1..3, class << 2, 0x20 source follows, 0x40 `reject` and 0x80 `before` follow
//   [source] beginning end text
//   [reject] [before]: 0: the last text of the piece again, or length and octets
#include <algorithm>

#include "store/bytes.hpp"
#include "store/codec.hpp"
#include "store/schema.hpp"

namespace rcptsync::store::codec {
namespace {

constexpr std::uint8_t version = 2;

constexpr unsigned kind_shift = 2;
constexpr unsigned kind_mask = 7;
constexpr unsigned with_source = 0x20;
constexpr unsigned with_reject = 0x40;
constexpr unsigned with_before = 0x80;

/// What an address has in common with the one before it.
struct Common {
  std::size_t beginning = 0, end = 0;
  bool operator==(const Common&) const = default;
};

Common common(std::string_view before, std::string_view after) {
  const auto shorter = std::min(before.size(), after.size());
  Common common;
  while (common.beginning < shorter && before[common.beginning] == after[common.beginning])
    ++common.beginning;
  while (common.end < shorter - common.beginning &&
         before[before.size() - 1 - common.end] == after[after.size() - 1 - common.end])
    ++common.end;
  return common;
}

}  // namespace

void ChangesWriter::clear() {
  Writer::begin(bytes_, version);
  address_.clear();
  text_.clear();
  source_ = 0;
}

void ChangesWriter::add(const ChangeView& change) {
  Writer writer(bytes_);
  writer.u8(static_cast<std::uint8_t>(
      static_cast<unsigned>(change.operation) | static_cast<unsigned>(change.kind) << kind_shift |
      (change.source != source_ ? with_source : 0U) | (change.reject.empty() ? 0U : with_reject) |
      (change.before.empty() ? 0U : with_before)));
  if (change.source != source_) writer.varint(change.source);
  source_ = change.source;

  const auto same = common(address_, change.address);
  writer.varint(same.beginning);
  writer.varint(same.end);
  writer.text(
      change.address.substr(same.beginning, change.address.size() - same.beginning - same.end));
  address_ = change.address;
  for (const auto text : {change.reject, change.before}) {
    if (text.empty()) continue;
    writer.text(text == text_ ? std::string_view() : text);
    text_ = text;
  }
}

bool decode_changes(std::string_view bytes, const std::function<bool(const Change&)>& visit,
                    bool& stopped) {
  Reader reader(bytes, version);
  Change change;
  std::string address;
  std::string text;
  const auto read_text = [&](bool is_there, std::string& out) {
    out.clear();
    if (!is_there) return;
    const auto read = reader.text();
    if (read.empty() ? text.empty() : read == text) reader.fail();
    if (!read.empty()) text = read;
    out = text;
  };
  while (reader.good() && reader.left() > 0) {
    const unsigned head = reader.u8();
    const auto operation = head & 3U;
    const auto kind = head >> kind_shift & kind_mask;
    if (operation == 0 || kind >= class_count) return false;
    change.operation = static_cast<Operation>(operation);
    change.kind = static_cast<recipient::ObjectClass>(kind);
    if ((head & with_source) != 0) {
      const auto source = reader.varint();
      if (source > std::numeric_limits<SourceId>::max() || source == change.source) return false;
      change.source = static_cast<SourceId>(source);
    }

    const auto beginning = reader.varint();
    const auto end = reader.varint();
    const auto between = reader.text();
    if (!reader.good() || beginning > change.address.size() ||
        end > change.address.size() - beginning || beginning + between.size() + end > max_name)
      return false;
    address.assign(change.address, 0, static_cast<std::size_t>(beginning));
    address += between;
    address.append(change.address, change.address.size() - static_cast<std::size_t>(end));
    if (common(change.address, address) != Common{beginning, end}) return false;
    change.address.swap(address);

    read_text((head & with_reject) != 0, change.reject);
    read_text((head & with_before) != 0, change.before);
    if (!reader.good()) return false;
    if (!visit(change)) {
      stopped = true;
      return true;
    }
  }
  return reader.done();
}

}  // namespace rcptsync::store::codec

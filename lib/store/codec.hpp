// codec — every stored record as bytes, and back.
//
// A record is a version byte, its fields, and nothing after them. Fixed numbers are big-endian,
// others LEB128 in their shortest form, strings have their length in front. So two different
// records never have the same bytes, and what decodes encodes to the same bytes again. Bytes come
// from a file that anything may have happened to: every string of bytes either decodes or is
// refused.
//
// In the file each record is sealed: a checksum over key and record follows it, so that a value
// that was changed, or that stands under another key, is noticed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/store.hpp"

namespace rcptsync::store::codec {

/// How a generation is stored: with the number of pieces that its changes take.
struct StoredGeneration {
  Generation generation;
  std::uint32_t pieces = 0;
};

// encode() appends to nothing: `out` is replaced. decode() gives false for bytes that encode() did
// not make; `out` is then unspecified, but valid. It reuses the memory of `out`.
// A generation's number and the names, ids and addresses that are keys are not in the record.
void encode(const Meta& record, std::string& out);
void encode(const SourceRecord& record, std::string& out);
void encode(const ObjectRecord& record, std::string& out);
void encode(const RecipientRecord& record, std::string& out);
void encode(const DomainRecord& record, std::string& out);
void encode(const Hold& record, std::string& out);
void encode(const StoredGeneration& record, std::string& out);
void encode(const TargetRecord& record, std::string& out);
/// A reject text alone, for owners and held addresses.
void encode_text(std::string_view text, std::string& out);

[[nodiscard]] bool decode(std::string_view bytes, Meta& out);
[[nodiscard]] bool decode(std::string_view bytes, SourceRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, ObjectRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, RecipientRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, DomainRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, Hold& out);
[[nodiscard]] bool decode(std::string_view bytes, StoredGeneration& out);
[[nodiscard]] bool decode(std::string_view bytes, TargetRecord& out);
/// The text is a view into `bytes`.
[[nodiscard]] std::optional<std::string_view> decode_text(std::string_view bytes);

/// Only the hash of an ObjectRecord; the rest is not looked at.
[[nodiscard]] bool decode_hash(std::string_view bytes, StoredHash& out);

/// A piece of the changes of a generation, built up one by one.
class ChangesWriter {
 public:
  ChangesWriter() { clear(); }
  void add(const ChangeView& change);
  void add(const Change& change) {
    add(ChangeView{change.operation, change.address, change.reject});
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return bytes_.size() == 1; }
  void clear();

 private:
  std::string bytes_;
};

/// Calls `visit` for every change of a piece; false from it sets `stopped` and ends the walk.
[[nodiscard]] bool decode_changes(std::string_view bytes,
                                  const std::function<bool(const Change&)>& visit, bool& stopped);

inline constexpr std::size_t seal_size = 4;

/// Appends the checksum.
void seal(std::string_view key, std::string& record);
/// The record without its checksum, or nothing if that does not fit.
[[nodiscard]] std::optional<std::string_view> unseal(std::string_view key, std::string_view sealed);

}  // namespace rcptsync::store::codec

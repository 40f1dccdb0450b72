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

/// What is known by its key alone.
struct Nothing {};

// encode() appends to nothing: `out` is replaced. decode() gives false for bytes that encode() did
// not make; `out` is then unspecified, but valid. It reuses the memory of `out`.
// A generation's number and the names, ids, digests and addresses that are keys are not in the
// record.
void encode(const Meta& record, std::string& out);
void encode(const SourceRecord& record, std::string& out);
void encode(const ObjectRecord& record, std::string& out);
void encode(const RecipientRecord& record, std::string& out);
void encode(const DomainRecord& record, std::string& out);
void encode(const Hold& record, std::string& out);
void encode(const StoredGeneration& record, std::string& out);
void encode(const TargetRecord& record, std::string& out);
void encode(const OwnerView& record, std::string& out);
void encode(const HeldRecord& record, std::string& out);
void encode(const Refusal& record, std::string& out);
void encode(const Digest& record, std::string& out);    ///< whose set keeps a refused address
void encode(const WallTime& record, std::string& out);  ///< since when an address is in grace
void encode(const ChangeView& record, std::string& out);
void encode(Nothing record, std::string& out);

[[nodiscard]] bool decode(std::string_view bytes, Meta& out);
[[nodiscard]] bool decode(std::string_view bytes, SourceRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, ObjectRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, RecipientRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, DomainRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, Hold& out);
[[nodiscard]] bool decode(std::string_view bytes, StoredGeneration& out);
[[nodiscard]] bool decode(std::string_view bytes, TargetRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, HeldRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, Refusal& out);
[[nodiscard]] bool decode(std::string_view bytes, Digest& out);
[[nodiscard]] bool decode(std::string_view bytes, WallTime& out);
[[nodiscard]] bool decode(std::string_view bytes, Nothing& out);
// The texts are views into `bytes`.
[[nodiscard]] bool decode(std::string_view bytes, OwnerView& out);
[[nodiscard]] bool decode(std::string_view bytes, ChangeView& out);

/// Only the hash of an ObjectRecord; the rest is not looked at.
[[nodiscard]] bool decode_hash(std::string_view bytes, StoredHash& out);

/// A piece of the changes of a generation, built up one by one. Addresses have at most max_name
/// octets.
class ChangesWriter {
 public:
  ChangesWriter() { clear(); }
  void add(const ChangeView& change);
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return bytes_.size() == 1; }
  void clear();

 private:
  std::string bytes_;
  // Of the change before.
  std::string address_;
  std::string text_;
  SourceId source_ = 0;
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

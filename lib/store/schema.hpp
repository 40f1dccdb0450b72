// schema — the tables of the state file, and how their keys are made. docs/STATE.md is the same for
// people.
//
// Keys compare bytewise, so numbers in them are big-endian. No key is longer than LMDB's 511 bytes:
// the limits below are checked before LMDB sees a key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "store/store.hpp"

namespace rcptsync::store {

inline constexpr std::uint32_t schema_number = 2;

/// Starts the format record, which keeps its place and shape in every schema to come.
inline constexpr std::string_view format_magic = "rcptsync";

enum class Table : std::uint8_t {
  meta,         ///< "format", "meta", "hold"
  sources,      ///< id (be16)
  objects,      ///< source id (be16), object key
  owners,       ///< address, NUL, source id (be16), object key
  recipients,   ///< address
  domains,      ///< domain
  held,         ///< address
  generations,  ///< number (be64)
  changes,      ///< generation (be64), piece (be32)
  targets,      ///< name
  refused,      ///< address
  refusals,     ///< digest
  grace,        ///< address
  pending,      ///< address
  mentions,     ///< address, NUL, source id (be16), object key
  losses,       ///< target, NUL, address
};
inline constexpr std::array table_names{
    "meta",    "sources", "objects", "owners",   "recipients", "domains", "held",     "generations",
    "changes", "targets", "refused", "refusals", "grace",      "pending", "mentions", "losses"};
inline const char* name_of(Table table) {
  return table_names[static_cast<std::size_t>(table)];
}

inline constexpr std::string_view format_key = "format";
inline constexpr std::string_view meta_key = "meta";
inline constexpr std::string_view hold_key = "hold";

/// Octets of an address, a domain or a target's name.
inline constexpr std::size_t max_name = 255;
inline constexpr std::size_t max_object_key = 128;
/// Octets of one stored record. Far above what a directory has, far below LMDB's 4 GiB.
inline constexpr std::size_t max_record = 64UL << 20;

/// What stands under format_key in a state of this schema.
std::string format_record();

/// A key under construction: bytes in place, no allocation.
class Key {
 public:
  Key& u16(std::uint16_t number) { return big_endian(number, 2); }
  Key& u32(std::uint32_t number) { return big_endian(number, 4); }
  Key& u64(std::uint64_t number) { return big_endian(number, 8); }
  Key& text(std::string_view bytes);
  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  Key& big_endian(std::uint64_t number, std::size_t width);

  std::array<char, 511> bytes_;
  std::size_t size_ = 0;
};

// Errc::invalid for what is empty or holds a NUL where it would end a part of the key; Errc::limit
// for what is too long.
Result<Key> name_key(std::string_view name);
Result<Key> object_key(SourceId source, std::string_view key);
/// `key` may be empty: the configuration owns addresses without an object.
Result<Key> owner_key(std::string_view address, SourceId source, std::string_view key);
/// What the keys of all owners of one address begin with, or of all losses of one target.
Result<Key> name_prefix(std::string_view name);
Result<Key> loss_key(std::string_view target, std::string_view address);
Key digest_key(const Digest& digest);
Key source_key(SourceId id);
Key generation_key(std::uint64_t number);
Key change_key(std::uint64_t generation, std::uint32_t piece);

/// Reads the be16 or be32 or be64 that `bytes` consists of.
std::uint64_t big_endian_number(std::string_view bytes);

}  // namespace rcptsync::store

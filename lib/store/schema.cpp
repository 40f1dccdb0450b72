#include "store/schema.hpp"

#include <fmt/format.h>

#include <cassert>
#include <cstring>

#include "base/escape.hpp"

namespace rcptsync::store {
namespace {

Result<> check_name(std::string_view name) {
  if (name.empty()) return Error{Errc::invalid, "an empty name cannot be stored"};
  if (name.size() > max_name)
    return Error{Errc::limit, fmt::format("{}: {} bytes, but at most {} can be stored",
                                          escape(name, 80), name.size(), max_name)};
  if (name.find('\0') != std::string_view::npos)
    return Error{Errc::invalid, fmt::format("{}: holds a NUL", escape(name, 80))};
  return {};
}

Result<> check_object_key(std::string_view key) {
  if (key.size() > max_object_key)
    return Error{Errc::limit, fmt::format("object key {}: {} bytes, but at most {} can be stored",
                                          escape(key, 80), key.size(), max_object_key)};
  return {};
}

}  // namespace

std::string format_record() {
  return std::string(format_magic).append(Key{}.u32(schema_number).view());
}

Key& Key::text(std::string_view bytes) {
  assert(size_ + bytes.size() <= bytes_.size());
  std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return *this;
}

Key& Key::big_endian(std::uint64_t number, std::size_t width) {
  assert(size_ + width <= bytes_.size());
  for (std::size_t i = width; i > 0; --i)
    bytes_[size_++] = static_cast<char>(number >> (8 * (i - 1)) & 0xff);
  return *this;
}

Result<Key> name_key(std::string_view name) {
  if (auto checked = check_name(name); !checked) return checked.error();
  return Key{}.text(name);
}

Result<Key> object_key(SourceId source, std::string_view key) {
  if (key.empty()) return Error{Errc::invalid, "an object without a key cannot be stored"};
  if (auto checked = check_object_key(key); !checked) return checked.error();
  return Key{}.u16(source).text(key);
}

Result<Key> name_prefix(std::string_view name) {
  if (auto checked = check_name(name); !checked) return checked.error();
  return Key{}.text(name).text(std::string_view("\0", 1));
}

Result<Key> owner_key(std::string_view address, SourceId source, std::string_view key) {
  if (auto checked = check_object_key(key); !checked) return checked.error();
  auto made = name_prefix(address);
  if (made) made->u16(source).text(key);
  return made;
}

Result<Key> loss_key(std::string_view target, std::string_view address) {
  if (auto checked = check_name(address); !checked) return checked.error();
  auto made = name_prefix(target);
  if (made) made->text(address);
  return made;
}

Key digest_key(const Digest& digest) {
  return Key{}.text({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
}
Key source_key(SourceId id) {
  return Key{}.u16(id);
}
Key generation_key(std::uint64_t number) {
  return Key{}.u64(number);
}
Key change_key(std::uint64_t generation, std::uint32_t piece) {
  return Key{}.u64(generation).u32(piece);
}

std::uint64_t big_endian_number(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

}  // namespace rcptsync::store

// wire — reads the data types of SSH (RFC 4251 §5) out of bytes that nobody vouches for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rcptsync::push {

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::string_view> take(std::size_t length) {
    if (length > rest_.size()) return std::nullopt;
    const auto taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
  }

  std::optional<std::uint32_t> uint32() {
    const auto bytes = take(4);
    if (!bytes) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : *bytes) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }

  /// A string: its length, then that many bytes.
  std::optional<std::string_view> string() {
    const auto length = uint32();
    if (!length) return std::nullopt;
    return take(*length);
  }

  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace rcptsync::push

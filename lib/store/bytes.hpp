// bytes — the parts that records are made of: a version byte, then numbers, flags, texts, digests
// and times. Fixed numbers are big-endian, others LEB128 in their shortest form, strings have their
// length in front.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.hpp"
#include "base/time.hpp"

namespace rcptsync::store::codec {

class Writer {
 public:
  /// Goes on behind what is there.
  explicit Writer(std::string& out) : out_(out) {}
  /// Begins a record anew.
  static Writer begin(std::string& out, std::uint8_t version) {
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
  Reader(std::string_view bytes, std::uint8_t version) : rest_(bytes) {
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

  /// Nothing that was written reads so.
  void fail() {
    good_ = false;
    rest_ = {};
  }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }
  [[nodiscard]] bool good() const { return good_; }
  /// Everything was there and nothing is left over.
  [[nodiscard]] bool done() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace rcptsync::store::codec

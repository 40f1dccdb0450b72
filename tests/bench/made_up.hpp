// made_up — objects of a company that does not exist, for programs that measure without a
// directory.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "recipient/object.hpp"

namespace rcptsync::bench {

/// Addresses of an object that was never changed. One that was has one more.
inline constexpr std::uint64_t addresses_each = 3;

/// Hands over object number `number` as it is after `changes` changes, each of which gives it
/// another fourth address in place of the one before; 0: it has none.
inline void upsert(recipient::ObjectSink& sink, std::uint64_t number, std::size_t changes) {
  // Keys come in no order, as those of a directory do.
  const std::uint64_t low = (number + 1) * 0x9e3779b97f4a7c15U;
  std::string key(16, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    key[i] = static_cast<char>(low >> (8 * i) & 0xff);
    key[8 + i] = static_cast<char>(number >> (8 * i) & 0xff);
  }
  const auto origin = fmt::format("cn=Given Family {},ou=Site{:02},ou=Users,dc=example,dc=test",
                                  number, number % 20);
  const std::string texts[] = {fmt::format("SMTP:Given.Family{}@example.com", number),
                               fmt::format("smtp:gfamily{}@example.com", number),
                               fmt::format("smtp:u{:x}@corp.example.net", low),
                               fmt::format("smtp:change-{}-{}@example.com", changes, number)};
  std::vector<recipient::Value> values;
  for (const auto& text : texts) values.push_back({"proxyAddresses", text, {}});
  if (changes == 0) values.pop_back();
  sink.upsert({key, origin, recipient::ObjectClass::user, recipient::Drop::kept, values});
}

}  // namespace rcptsync::bench

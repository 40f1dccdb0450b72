#include "base/random.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace rcptsync {
namespace {

class SystemRandom final : public Random {
 public:
  std::uint64_t next() override {
    std::uint64_t value = 0;
    // Up to 256 bytes come whole once the pool is ready (getrandom(2)); only a signal can interrupt
    // before.
    while (::getrandom(&value, sizeof value, 0) != sizeof value)
      if (errno != EINTR) std::abort();
    return value;
  }
};

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

std::uint64_t SeededRandom::next() {
  std::uint64_t x = state_ += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::string random_hex(Random& random, unsigned bytes) {
  std::string text;
  while (text.size() < 2UL * bytes) text += fmt::format("{:016x}", random.next());
  text.resize(2UL * bytes);
  return text;
}

}  // namespace rcptsync

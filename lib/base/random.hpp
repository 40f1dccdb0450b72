// random — random numbers as a small interface: the system's for the daemon, a seed for the tests.
#pragma once

#include <cstdint>
#include <string>

namespace rcptsync {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
  /// Uniform in [0, 1).
  double fraction() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

/// getrandom(2). Safe to use from several threads.
Random& system_random();

/// The same sequence for the same seed on every machine (SplitMix64).
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override;

 private:
  std::uint64_t state_;
};

/// `bytes` random bytes in hexadecimal, for names that must not meet.
std::string random_hex(Random& random, unsigned bytes);

}  // namespace rcptsync

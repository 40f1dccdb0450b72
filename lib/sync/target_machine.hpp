// target_machine — what one target does next. Pure: events in, one action out; the coroutine
// carries it out.
//
//   idle ──desired──▶ pushing ──done──▶ current
//                        │ failed                 new generation: resets the backoff,
//                        ▼                        replaces one that is pending
//                     waiting ──timer──▶ pushing
//                        ▲
//   held: the guard refused the first push; waits for another generation, a resync or an approval
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/random.hpp"
#include "base/time.hpp"

namespace rcptsync::sync {

/// 5 s doubling to 15 min, ± 10 % jitter. `attempts` is the number of failures in a row, from 1.
std::chrono::milliseconds backoff(std::uint32_t attempts, Random& random);

enum class TargetState { current, behind, pushing, failing, held, disabled };
std::string_view to_string(TargetState state);

class TargetMachine {
 public:
  struct Desired {
    std::uint64_t generation = 0;
    bool force = false;  ///< push even what the target is believed to hold (SIGHUP)
  };
  struct Action {
    enum class Kind {
      none,  ///< nothing to do until the next event
      push,  ///< push the generation in `desired` now
      wait,  ///< call timer() at `until`
    };
    Kind kind = Kind::none;
    Desired desired;
    SteadyTime until{};
  };

  /// What survived a restart.
  struct Remembered {
    std::uint64_t generation = 0;  ///< that it holds; 0: unknown
    std::uint32_t attempts = 0;
  };

  TargetMachine(bool enabled, Remembered remembered, Random& random);

  /// This generation is to be on the target. A generation that is not the one of the last call, or
  /// `force`, starts at once or right after the push that runs, and resets the backoff; it ends a
  /// hold. The same wish again changes nothing. The first call after a restart starts at once and
  /// keeps the remembered failures. Nothing starts if the target holds that generation already and
  /// `force` is false.
  Action desire(Desired desired, SteadyTime now);
  /// An operator asks for a push now: a pause or a hold ends, and a target that is believed to hold
  /// the generation is looked at. Nothing before the first desire(), or while a push runs.
  Action hurry(SteadyTime now);
  /// The push that ran ended well: the target holds that generation.
  Action succeeded(std::uint64_t generation, SteadyTime now);
  Action failed(SteadyTime now);
  /// The target's own table would lose too much: no further attempt until desire() comes again.
  Action held(SteadyTime now);
  /// The time of a wait action has come. A timer that is early or was overtaken does no harm.
  Action timer(SteadyTime now);

  [[nodiscard]] TargetState state() const;
  [[nodiscard]] std::uint32_t attempts() const;
  [[nodiscard]] std::optional<SteadyTime> next_attempt() const;
  [[nodiscard]] std::uint64_t generation() const;  ///< that the target is believed to hold

 private:
  Action start(const Desired& desired);
  Action start_overtaking();
  [[nodiscard]] Action wait() const;
  Random& random_;
  bool enabled_;
  bool pushing_ = false;
  bool held_ = false;
  std::uint64_t holds_ = 0;
  std::uint32_t attempts_ = 0;
  std::optional<std::uint64_t> wanted_;  ///< by the last desire(); none since the start
  Desired running_;                      ///< while pushing: what is being pushed
  /// While pushing: what comes next. While waiting or held: what did not succeed.
  std::optional<Desired> pending_;
  std::optional<SteadyTime> next_attempt_;  ///< set exactly while waiting
};

}  // namespace rcptsync::sync

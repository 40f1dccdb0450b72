#include "sync/target_machine.hpp"

#include <algorithm>
#include <limits>

namespace rcptsync::sync {

std::chrono::milliseconds backoff(std::uint32_t attempts, Random& random) {
  using std::chrono::milliseconds;
  constexpr milliseconds first = std::chrono::seconds(5);
  constexpr milliseconds last = std::chrono::minutes(15);
  constexpr double jitter = 0.1;
  // 5 s doubled eight times is past the cap; more would only overflow the shift.
  const auto doublings = std::min<std::uint32_t>(attempts == 0 ? 0 : attempts - 1, 8);
  const auto pause = std::min(first * (1 << doublings), last);
  const double factor = 1 - jitter + 2 * jitter * random.fraction();
  return milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) * factor));
}

std::string_view to_string(TargetState state) {
  switch (state) {
    case TargetState::current:
      return "current";
    case TargetState::behind:
      return "behind";
    case TargetState::pushing:
      return "pushing";
    case TargetState::failing:
      return "failing";
    case TargetState::held:
      return "held";
    case TargetState::disabled:
      return "disabled";
  }
  return "unknown";
}

TargetMachine::TargetMachine(bool enabled, Remembered remembered, Random& random)
    : random_(random),
      enabled_(enabled),
      holds_(remembered.generation),
      attempts_(remembered.attempts) {}

TargetMachine::Action TargetMachine::start(const Desired& desired) {
  running_ = desired;
  pushing_ = true;
  held_ = false;
  pending_.reset();
  next_attempt_.reset();
  return {.kind = Action::Kind::push, .desired = desired, .until = {}};
}

/// What came during a push that did not succeed: it inherits the force of that push.
TargetMachine::Action TargetMachine::start_overtaking() {
  return start({.generation = pending_->generation, .force = pending_->force || running_.force});
}

TargetMachine::Action TargetMachine::wait() const {
  return {.kind = Action::Kind::wait, .desired = {}, .until = *next_attempt_};
}

TargetMachine::Action TargetMachine::desire(Desired desired, SteadyTime /*now*/) {
  if (!enabled_) return {};
  const bool another = wanted_ && *wanted_ != desired.generation;
  wanted_ = desired.generation;

  if (!desired.force && !another) {
    // The same wish again, as every unchanged poll repeats it: neither a hold nor a pause ends.
    if (pushing_ || held_) return {};
    if (next_attempt_) return wait();
  }
  // A resync that was not carried out is not forgotten because another generation takes its place.
  if (pending_ && pending_->force) desired.force = true;
  if (pushing_) {
    pending_ = desired;
    return {};
  }

  if (!desired.force && desired.generation == holds_) {
    held_ = false;
    pending_.reset();
    next_attempt_.reset();
    attempts_ = 0;
    return {};
  }
  // The first wish after a restart is tried at once, but a target that was failing goes on in its
  // backoff where it was.
  if (desired.force || another) attempts_ = 0;
  return start(desired);
}

TargetMachine::Action TargetMachine::hurry(SteadyTime /*now*/) {
  if (!enabled_ || pushing_ || !wanted_) return {};
  return start(pending_.value_or(Desired{.generation = *wanted_, .force = false}));
}

TargetMachine::Action TargetMachine::succeeded(std::uint64_t generation, SteadyTime /*now*/) {
  if (!pushing_) return {};
  pushing_ = false;
  holds_ = generation;
  attempts_ = 0;
  if (pending_ && (pending_->force || pending_->generation != holds_))
    return start(Desired(*pending_));
  pending_.reset();
  return {};
}

TargetMachine::Action TargetMachine::failed(SteadyTime now) {
  if (!pushing_) return {};
  pushing_ = false;
  if (pending_) {
    attempts_ = 0;
    return start_overtaking();
  }
  if (attempts_ < std::numeric_limits<std::uint32_t>::max()) ++attempts_;
  pending_ = running_;
  next_attempt_ = now + backoff(attempts_, random_);
  return wait();
}

TargetMachine::Action TargetMachine::held(SteadyTime /*now*/) {
  if (!pushing_) return {};
  pushing_ = false;
  attempts_ = 0;  // It answered: nothing is failing.
  if (pending_) return start_overtaking();
  pending_ = running_;
  held_ = true;
  return {};
}

TargetMachine::Action TargetMachine::timer(SteadyTime now) {
  if (!next_attempt_) return {};  // A timer that was overtaken by a new generation.
  if (now < *next_attempt_) return wait();
  return start(Desired(*pending_));
}

TargetState TargetMachine::state() const {
  if (!enabled_) return TargetState::disabled;
  if (pushing_) return TargetState::pushing;
  if (held_) return TargetState::held;
  if (attempts_ > 0) return TargetState::failing;
  return holds_ == 0 || (wanted_ && *wanted_ != holds_) ? TargetState::behind
                                                        : TargetState::current;
}

std::uint32_t TargetMachine::attempts() const {
  return attempts_;
}

std::optional<SteadyTime> TargetMachine::next_attempt() const {
  return next_attempt_;
}

std::uint64_t TargetMachine::generation() const {
  return holds_;
}

}  // namespace rcptsync::sync

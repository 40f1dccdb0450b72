// notifier — what systemd, or another manager with the same protocol, is told: sd_notify(3).
#include <systemd/sd-daemon.h>

#include <ctime>
#include <string>

#include "journal/fields.hpp"
#include "journal/journal.hpp"

namespace rcptsync::journal {
namespace {

// CLOCK_MONOTONIC in microseconds, the clock that the manager compares MONOTONIC_USEC with.
std::uint64_t monotonic_usec() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

// A manager that cannot be reached is not our failure: it notices by itself.
void notify(const std::string& state) {
  sd_notify(0, state.c_str());
}

class SystemdNotifier final : public Notifier {
 public:
  void ready() override { notify("READY=1"); }
  void reloading() override {
    notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_usec()));
  }
  void stopping() override { notify("STOPPING=1"); }
  void status(std::string_view line) override { notify("STATUS=" + one_line(line)); }
  void watchdog() override { notify("WATCHDOG=1"); }

  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval() const override {
    std::uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0) return std::nullopt;
    return std::chrono::microseconds(static_cast<std::int64_t>(usec / 2));
  }
};

}  // namespace

std::unique_ptr<Notifier> create_notifier() {
  return std::make_unique<SystemdNotifier>();
}

}  // namespace rcptsync::journal

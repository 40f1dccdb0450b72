// program — runs a program of the administrator's: input in, lines out, an end within a deadline
// whatever it does.
//
// It gets a process group, a clean environment and no descriptor of ours but its three. No shell.
// Works with NoNewPrivileges and the other limits of the unit: nothing here needs a right.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::service {

/// Ends a program before its deadline, from another thread.
class ProgramStop {
 public:
  ProgramStop();
  /// What runs then gets SIGTERM at `by`, and SIGKILL at `kill_by`; nothing new begins. The first
  /// call counts.
  void request(SteadyTime by, SteadyTime kill_by);
  struct Times {
    SteadyTime by{}, kill_by{};
  };
  [[nodiscard]] std::optional<Times> times() const;
  [[nodiscard]] int fd() const { return fd_.get(); }  ///< readable once requested

 private:
  mutable std::mutex mutex_;
  std::optional<Times> times_;
  Fd fd_;
};

struct Program {
  std::vector<std::string> command;      ///< an absolute path and arguments
  std::vector<std::string> environment;  ///< all of it, NAME=value
  std::string input;                     ///< its standard input, a file
  std::chrono::milliseconds deadline{};  ///< then SIGTERM
  std::chrono::milliseconds mercy{};     ///< after SIGTERM, then SIGKILL
  /// Gets each line of both outputs, raw, cut at 1000 bytes; 40 lines, then how many more there
  /// were. Called on the thread that runs it.
  std::function<void(std::string_view line)> said;
};

/// Runs it and waits for its end. Whatever is left of its process group then is killed. An error is
/// how it failed, for a person: it could not be started, its exit status, its signal, the deadline
/// (Errc::timeout), the stop (Errc::cancelled).
Result<> run_program(const Program& program, const ProgramStop& stop);

/// What can be known of a program before it is needed: that it is there, a file, and may be run.
Result<> check_program(const std::string& path);

}  // namespace rcptsync::service

#include "service/program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace rcptsync::service {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_line = 1000;
constexpr std::size_t most_lines = 40;
/// A process that SIGKILL does not end within this time hangs in the kernel.
constexpr auto killed_by_then = 5s;

/// Turns the bytes of an output into lines, and stops telling them when there are too many.
class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& said) : said_(said) {}

  void add(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n') {
        end_line();
      } else {
        open_ = true;
        if (line_.size() < longest_line) line_ += c;
      }
    }
  }
  void finish() {
    if (open_) end_line();
    if (count_ > most_lines) said_(fmt::format("… and {} more lines", count_ - most_lines));
  }

 private:
  void end_line() {
    if (count_++ < most_lines) said_(line_);
    line_.clear();
    open_ = false;
  }

  const std::function<void(std::string_view)>& said_;
  std::string line_;
  bool open_ = false;
  std::size_t count_ = 0;
};

/// The input as a file in memory: it can be of any length, and nobody waits for who reads it.
Result<Fd> input_file(std::string_view bytes) {
  Fd fd{::memfd_create("alert", MFD_CLOEXEC)};
  if (!fd) return system_error(errno, "memfd_create");
  while (!bytes.empty()) {
    const auto put = ::write(fd.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(errno, "cannot write its input");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return system_error(errno, "cannot write its input");
  return fd;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const auto& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

Result<pid_t> spawn(const Program& program, int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  // Connections and files of ours; not everybody who opens one marks it close-on-exec.
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  ::posix_spawn_file_actions_addchdir_np(&actions, "/");
  // The daemon ignores SIGPIPE and may have blocked others; that would be inherited.
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const auto arguments = pointers(program.command);
  const auto environment = pointers(program.environment);
  const int failed = ::posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(),
                                   environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT)
    return Error{Errc::not_found, fmt::format("cannot start {}: it, or the interpreter in its "
                                              "first line, is not there",
                                              program.command.front())};
  if (failed != 0)
    return system_error(failed, fmt::format("cannot start {}", program.command.front()));
  return pid;
}

/// True when it has ended; it is not reaped, so its id and that of its group stay its own.
bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

/// Reads what is there now. False at the end of the output.
bool drain(int fd, Lines& lines) {
  char buffer[4096];
  for (;;) {
    const auto got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 && errno == EAGAIN;
    lines.add({buffer, static_cast<std::size_t>(got)});
  }
}

int milliseconds_until(SteadyTime time) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(time - system_clock().steady()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

Result<> outcome(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status))
    return Error{Errc::remote, fmt::format("exit status {}", WEXITSTATUS(status))};
  return Error{Errc::remote, fmt::format("ended by signal {} ({})", WTERMSIG(status),
                                         ::sigabbrev_np(WTERMSIG(status)))};
}

}  // namespace

ProgramStop::ProgramStop() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void ProgramStop::request(SteadyTime by, SteadyTime kill_by) {
  {
    const std::lock_guard lock(mutex_);
    if (times_) return;
    times_ = {by, kill_by};
  }
  ::eventfd_write(fd_.get(), 1);
}

std::optional<ProgramStop::Times> ProgramStop::times() const {
  const std::lock_guard lock(mutex_);
  return times_;
}

Result<> run_program(const Program& program, const ProgramStop& stop) {
  if (stop.times()) return Error{Errc::cancelled, "rcptsyncd is stopping"};
  auto input = input_file(program.input);
  if (!input) return input.error();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "cannot make a pipe");
  Fd output{ends[0]}, theirs{ends[1]};
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  const auto began = system_clock().steady();
  const auto spawned = spawn(program, input->get(), theirs.get());
  if (!spawned) return spawned.error();
  const pid_t pid = *spawned;
  theirs.reset();
  const Fd ended{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))};

  enum class Stage { running, asked, killed } stage = Stage::running;
  bool stopped = false, done = false;
  auto until = began + program.deadline;
  auto kill_at = until + program.mercy;
  Lines lines(program.said);
  while (!(done = has_ended(pid))) {
    if (const auto times = stop.times(); times && !stopped) {
      stopped = true;
      if (stage == Stage::running) until = std::min(until, times->by);
      kill_at = std::min(kill_at, times->kill_by);
      if (stage == Stage::asked) until = kill_at;
    }
    if (system_clock().steady() >= until) {
      if (stage == Stage::killed) break;
      ::kill(-pid, stage == Stage::running ? SIGTERM : SIGKILL);
      stage = stage == Stage::running ? Stage::asked : Stage::killed;
      until = stage == Stage::asked ? kill_at : system_clock().steady() + killed_by_then;
      continue;
    }
    // Without a descriptor of the process (kernels before 5.3) its end is looked for now and then.
    pollfd wait[3] = {
        {ended.get(), POLLIN, 0}, {output.get(), POLLIN, 0}, {stopped ? -1 : stop.fd(), POLLIN, 0}};
    const int most = ended ? milliseconds_until(until) : std::min(50, milliseconds_until(until));
    if (::poll(wait, 3, most) > 0 && wait[1].revents != 0 && !drain(output.get(), lines))
      output.reset();
  }
  // As long as its leader is not reaped the group's id can be nobody else's.
  ::kill(-pid, SIGKILL);
  if (output) drain(output.get(), lines);
  lines.finish();
  int status = 0;
  if (done) ::waitpid(pid, &status, 0);
  if (stage == Stage::running) return outcome(status);
  if (stopped && system_clock().steady() < began + program.deadline)
    return Error{Errc::cancelled, "it was ended because rcptsyncd is stopping"};
  return Error{
      Errc::timeout,
      fmt::format("it did not end within {}",
                  human(std::chrono::duration_cast<std::chrono::seconds>(program.deadline)))};
}

Result<> check_program(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return system_error(errno, fmt::format("{} cannot be run", path));
  if (!S_ISREG(status.st_mode))
    return Error{Errc::invalid, fmt::format("{} is not a file that can be run", path)};
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0)
    return Error{Errc::permission, fmt::format("{} may not be run; run: chmod +x {}", path, path)};
  return {};
}

}  // namespace rcptsync::service

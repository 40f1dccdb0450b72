// A program of the administrator's gets its input, a clean environment and an end, whatever it
// does.
#include "service/program.hpp"

#include <fcntl.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace std::chrono_literals;

namespace {

struct Ran {
  Result<> result;
  std::vector<std::string> said;
  std::chrono::milliseconds took{};
};

Ran run(std::vector<std::string> command, const ProgramStop& stop = {},
        std::string input = "{\"a\":1}\n", std::chrono::milliseconds deadline = 20s,
        std::chrono::milliseconds mercy = 20s) {
  Ran ran;
  Program program;
  program.command = std::move(command);
  program.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "RCPTSYNC_EVENT=test"};
  program.input = std::move(input);
  program.deadline = deadline;
  program.mercy = mercy;
  program.said = [&](std::string_view line) { ran.said.emplace_back(line); };
  const auto began = system_clock().steady();
  ran.result = run_program(program, stop);
  ran.took = std::chrono::duration_cast<std::chrono::milliseconds>(system_clock().steady() - began);
  return ran;
}

Ran shell(const std::string& script, std::chrono::milliseconds deadline = 20s,
          std::chrono::milliseconds mercy = 20s) {
  return run({"/bin/sh", "-c", script}, {}, "", deadline, mercy);
}

using Lines = std::vector<std::string>;

// True once nobody has the process id any more; a zombie that init did not reap yet does not count.
bool gone(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  return !std::getline(file, line) || line.find(") Z ") != std::string::npos;
}

}  // namespace

TEST_CASE("the input is a file on standard input, both outputs are told line by line") {
  const auto ran = run({"/bin/sh", "-c", "cat; echo error >&2; printf unfinished"});
  CHECK(ran.result);
  CHECK(ran.said == Lines{"{\"a\":1}", "error", "unfinished"});
}

TEST_CASE("an input larger than any pipe costs a program that does not read it nothing") {
  CHECK(run({"/bin/true"}, {}, std::string(4 << 20, 'x')).result);
  CHECK(run({"/usr/bin/wc", "-c"}, {}, std::string(4 << 20, 'x')).said == Lines{"4194304"});
}

TEST_CASE("the arguments are handed over as they are, the environment is the one given") {
  CHECK(run({"/usr/bin/printf", "[%s]", "a b", "$HOME", ""}).said == Lines{"[a b][$HOME][]"});
  ::setenv("SECRET_OF_THE_DAEMON", "x", 1);
  CHECK(run({"/usr/bin/env"}).said ==
        Lines{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "RCPTSYNC_EVENT=test"});
}

TEST_CASE("nothing of ours is open in it, no signal is blocked or ignored, it leads a group") {
  const int leaked = ::open("/dev/null", O_RDONLY);
  std::signal(SIGPIPE, SIG_IGN);
  const auto ran =
      shell("ls /proc/$$/fd; pwd; test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo leads");
  // Not of the shell, which blocks signals while it waits.
  const auto signals = run(
      {"/bin/sed", "-n", "s/^Sig\\(Blk\\|Ign\\):.*\\(.......\\)$/\\1 \\2/p", "/proc/self/status"});
  ::close(leaked);
  CHECK(ran.said == Lines{"0", "1", "2", "/", "leads"});
  CHECK(signals.said == Lines{"Blk 0000000", "Ign 0000000"});
}

TEST_CASE("how it failed is said") {
  CHECK(shell("exit 3").result.error().message == "exit status 3");
  CHECK(shell("kill -SEGV $$").result.error().message == "ended by signal 11 (SEGV)");
  CHECK(
      run({"/nonexistent/program"}).result.error().message ==
      "cannot start /nonexistent/program: it, or the interpreter in its first line, is not there");
  CHECK(run({"/etc/passwd"}).result.error().message ==
        "cannot start /etc/passwd: Permission denied");
}

TEST_CASE("at its deadline it is asked to end, and killed if it does not") {
  auto ran = shell("trap 'echo asked; exit 0' TERM; sleep 60 & wait", 200ms);
  REQUIRE_FALSE(ran.result);
  CHECK(ran.result.error().code == Errc::timeout);
  CHECK(ran.said == Lines{"asked"});
  CHECK(ran.took < 10s);

  ran = shell("trap '' TERM; while :; do sleep 60; done", 200ms, 200ms);
  CHECK(ran.result.error().code == Errc::timeout);
  CHECK(ran.took >= 400ms);
  CHECK(ran.took < 10s);
}

TEST_CASE("what it leaves behind in its group ends with it and is not waited for") {
  const auto ran = shell("trap '' TERM; sleep 60 & echo $!");
  CHECK(ran.result);
  CHECK(ran.took < 10s);
  REQUIRE(ran.said.size() == 1);
  const pid_t left = std::stoi(ran.said[0]);
  for (int i = 0; i < 1000 && !gone(left); ++i) std::this_thread::sleep_for(10ms);
  CHECK(gone(left));
}

TEST_CASE("a program that talks without end is cut, and does not hang on a full pipe") {
  const auto ran = shell(
      "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; "
      "head -c 200000 /dev/zero | tr '\\0' x");
  CHECK(ran.result);
  REQUIRE(ran.said.size() == 41);
  CHECK(ran.said[39] == "line 39");
  CHECK(ran.said[40] == "… and 61 more lines");
  const auto one = shell("head -c 200000 /dev/zero | tr '\\0' x");
  REQUIRE(one.said.size() == 1);
  CHECK(one.said[0].size() == 1000);
}

TEST_CASE("a stop gives it the time that is left, and nothing begins after it") {
  ProgramStop stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(100ms);
    const auto now = system_clock().steady();
    stop.request(now + 100ms, now + 300ms);
  });
  const auto ran = run({"/bin/sh", "-c", "trap '' TERM; while :; do sleep 60; done"}, stop);
  stopper.join();
  CHECK(ran.result.error().code == Errc::cancelled);
  CHECK(ran.took >= 300ms);
  CHECK(ran.took < 10s);
  CHECK(run({"/bin/true"}, stop).result.error().code == Errc::cancelled);
}

TEST_CASE("a program that ends in the time a stop leaves has done its work") {
  ProgramStop stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(50ms);
    const auto now = system_clock().steady();
    stop.request(now + 10s, now + 12s);
  });
  const auto ran = run({"/bin/sh", "-c", "sleep 0.3; echo done"}, stop);
  stopper.join();
  CHECK(ran.result);
  CHECK(ran.said == Lines{"done"});
}

TEST_CASE("a program is looked at before it is needed") {
  CHECK(check_program("/bin/sh"));
  CHECK(check_program("/nonexistent").error().code == Errc::not_found);
  CHECK(check_program("/tmp").error().message == "/tmp is not a file that can be run");
  CHECK(check_program("/etc/passwd").error().message ==
        "/etc/passwd may not be run; run: chmod +x /etc/passwd");
}

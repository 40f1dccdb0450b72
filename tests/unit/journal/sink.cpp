// The sink on stderr: whole lines, from many threads, whatever the reader does.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/handle.hpp"
#include "catch.hpp"
#include "journal/journal.hpp"

using namespace rcptsync;

namespace {

// Puts a pipe in stderr's place, and reads it meanwhile.
class StderrPipe {
 public:
  StderrPipe() : saved_(::dup(STDERR_FILENO)) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    reader_ = std::thread([this, end = Fd(ends[0])] {
      std::array<char, 4096> buffer{};
      for (ssize_t size = 0; (size = ::read(end.get(), buffer.data(), buffer.size())) > 0;)
        text_.append(buffer.data(), static_cast<std::size_t>(size));
    });
  }
  ~StderrPipe() { finish(); }
  StderrPipe(const StderrPipe&) = delete;
  StderrPipe& operator=(const StderrPipe&) = delete;

  /// Gives stderr back; everything that was written until now.
  std::string finish() {
    ::dup2(saved_.get(), STDERR_FILENO);
    if (reader_.joinable()) reader_.join();
    return text_;
  }

 private:
  Fd saved_;
  std::string text_;
  std::thread reader_;
};

}  // namespace

TEST_CASE("outside systemd events are lines on stderr, from the chosen priority up") {
  ::unsetenv("JOURNAL_STREAM");
  StderrPipe pipe;
  const auto sink = journal::create_sink(Priority::notice);
  sink->emit({EventKind::poll_unchanged, Priority::debug, "nothing new"});
  sink->emit({EventKind::poll_changed, Priority::info, "something new"});
  sink->emit({EventKind::started, Priority::notice, "started"});
  sink->emit({EventKind::poll_failed, Priority::error, "failed", "corp"});
  CHECK(pipe.finish() ==
        "notice: started event=started\nerror: failed event=poll-failed source=corp\n");
}

TEST_CASE("a JOURNAL_STREAM that is not our stderr is not believed") {
  struct stat stat {};
  REQUIRE(::stat("/", &stat) == 0);
  ::setenv("JOURNAL_STREAM",
           (std::to_string(stat.st_dev) + ":" + std::to_string(stat.st_ino)).c_str(), 1);
  StderrPipe pipe;
  journal::create_sink()->emit({EventKind::started, Priority::notice, "started"});
  CHECK(pipe.finish() == "notice: started event=started\n");
  ::unsetenv("JOURNAL_STREAM");
}

TEST_CASE("lines from several threads stay whole and in each thread's order") {
  constexpr int threads = 8, lines = 400;
  ::unsetenv("JOURNAL_STREAM");
  StderrPipe pipe;
  const auto sink = journal::create_sink();
  // Far more than the pipe holds, so writers wait for the reader in the middle of a line.
  std::vector<std::thread> writers;
  for (int t = 0; t < threads; ++t)
    writers.emplace_back([&sink, t] {
      for (int i = 0; i < lines; ++i) {
        Event event{EventKind::push_done, Priority::info, std::string(5000, 'm')};
        event.target = "t" + std::to_string(t);
        event.total = static_cast<std::uint64_t>(i);
        sink->emit(event);
      }
    });
  for (auto& writer : writers) writer.join();

  std::map<std::string, int> next;
  const std::string head = "info: " + std::string(5000, 'm') + " event=push-done target=";
  std::istringstream in(pipe.finish());
  for (std::string line; std::getline(in, line);) {
    REQUIRE(line.starts_with(head));
    std::istringstream rest(line.substr(head.size()));
    std::string target, total;
    rest >> target >> total;
    REQUIRE(total == "total=" + std::to_string(next[target]++));
  }
  CHECK(next.size() == threads);
  for (const auto& [target, count] : next) CHECK(count == lines);
}

TEST_CASE("a reader of stderr that went away costs the lines, not the daemon") {
  ::unsetenv("JOURNAL_STREAM");
  auto* const before = std::signal(SIGPIPE, SIG_IGN);
  const Fd saved(::dup(STDERR_FILENO));
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  ::close(ends[0]);
  ::dup2(ends[1], STDERR_FILENO);
  ::close(ends[1]);
  journal::create_sink()->emit({EventKind::started, Priority::notice, "started"});
  ::dup2(saved.get(), STDERR_FILENO);
  std::signal(SIGPIPE, before);
  SUCCEED();
}

#include "service/runtime.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/file.hpp"
#include "base/handle.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace std::chrono_literals;

namespace {

/// How often a file was put into a folder under its name, so far.
class Counter {
 public:
  explicit Counter(const std::filesystem::path& folder)
      : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    REQUIRE(::inotify_add_watch(inotify_.get(), folder.c_str(), IN_MOVED_TO) >= 0);
  }
  int count() {
    alignas(inotify_event) char buffer[65536];
    for (;;) {
      const auto got = ::read(inotify_.get(), buffer, sizeof buffer);
      if (got <= 0) return count_;
      for (const char* at = buffer; at < buffer + got; ++count_)
        at += sizeof(inotify_event) + reinterpret_cast<const inotify_event*>(at)->len;
    }
  }

 private:
  Fd inotify_;
  int count_ = 0;
};

RuntimeStatus with_pid(pid_t pid) {
  RuntimeStatus status;
  status.pid = pid;
  return status;
}

bool eventually(const std::function<bool()>& condition) {
  const auto latest = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > latest) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

const auto must_not_fail = [](const Error& error) { FAIL(error.message); };

}  // namespace

TEST_CASE("the status file comes back as it was written") {
  test::Folder folder;
  RuntimeStatus status;
  status.pid = 42;
  status.program = "1.0";
  status.started = WallTime{std::chrono::seconds(1772366400)};
  status.sources["corp"] = {"full", "dc1",          status.started, "",
                            true,   status.started, "dc1 lags",     "connected"};
  status.sources["other"] = {"", "", std::nullopt, "dc2: \"no\" answer\xff", false, {}, {}, {}};
  status.pushing = {"mx1"};
  status.unproven = {"mx1", "mx2"};
  REQUIRE(save_runtime(folder.path(), status));
  const auto read = load_runtime(folder.path());
  CHECK(read.pid == 42);
  CHECK(read.program == "1.0");
  CHECK(read.started == status.started);
  CHECK_FALSE(read.next_poll);
  CHECK(read.sources.at("corp") == status.sources.at("corp"));
  CHECK(read.sources.at("other").last_error.starts_with("dc2: \"no\" answer"));
  CHECK(read.pushing == status.pushing);
  CHECK(read.unproven == status.unproven);
}

TEST_CASE("a damaged or missing status file is an empty status") {
  test::Folder folder;
  CHECK(load_runtime(folder.path()).sources.empty());
  for (const auto* text : {"", "{", "[]", "null", "{\"pid\":\"x\",\"sources\":[1],\"pushing\":{}}",
                           "{\"sources\":{\"a\":3,\"b\":{\"mode\":4,\"last_success\":\"yesterday\","
                           "\"complete\":\"yes\"}}}"}) {
    CAPTURE(text);
    REQUIRE(replace_file(folder.path() / "status.json", text, 0600));
    const auto read = load_runtime(folder.path());
    CHECK(read.pid == 0);
    for (const auto& [name, source] : read.sources) CHECK_FALSE(source.last_success);
  }
}

TEST_CASE("the first state is written at once, of a burst the newest alone") {
  test::Folder folder;
  Counter writes(folder.path());
  RuntimeWriter writer(folder.path(), must_not_fail, 60s);
  writer.save(with_pid(1));
  REQUIRE(eventually([&] { return load_runtime(folder.path()).pid == 1; }));
  for (pid_t pid = 2; pid <= 1000; ++pid) writer.save(with_pid(pid));
  CHECK(load_runtime(folder.path()).pid == 1);
  CHECK(writes.count() == 1);
}

TEST_CASE("the newest state is written by itself when the interval is over") {
  test::Folder folder;
  Counter writes(folder.path());
  RuntimeWriter writer(folder.path(), must_not_fail, 50ms);
  const auto began = std::chrono::steady_clock::now();
  for (pid_t pid = 1; pid <= 100; ++pid) {
    writer.save(with_pid(pid));
    std::this_thread::sleep_for(1ms);
  }
  CHECK(eventually([&] { return load_runtime(folder.path()).pid == 100; }));
  CHECK(writes.count() <= 1 + (std::chrono::steady_clock::now() - began) / 50ms);
}

TEST_CASE("the last state is written before the writer is gone, and without a pause") {
  test::Folder folder;
  Counter writes(folder.path());
  for (pid_t round = 1; round <= 20; ++round) {
    RuntimeWriter writer(folder.path(), must_not_fail, 60s);
    for (pid_t i = 1; i <= 10; ++i) writer.save(with_pid(round * 100 + i));
    if (round % 2 == 0) std::this_thread::sleep_for(5ms);
    writer.save(with_pid(round));
  }
  CHECK(load_runtime(folder.path()).pid == 20);
  CHECK(writes.count() <= 40);
  RuntimeWriter(folder.path(), must_not_fail).save(with_pid(21));
  CHECK(load_runtime(folder.path()).pid == 21);
}

TEST_CASE("a disk that fails is told once, and the writer goes on when it is well again") {
  test::Folder folder;
  const auto missing = folder.path() / "gone";
  std::atomic<int> failures = 0;
  RuntimeWriter writer(
      missing, [&](const Error&) { ++failures; }, 1ms);
  const auto save_until = [&](const std::function<bool()>& condition) {
    return eventually([&] {
      writer.save(with_pid(7));
      return condition();
    });
  };
  CHECK(save_until([&] { return failures == 1; }));
  for (int i = 0; i < 10; ++i) {
    writer.save(with_pid(7));
    std::this_thread::sleep_for(2ms);
  }
  CHECK(failures == 1);
  std::filesystem::create_directory(missing);
  CHECK(save_until([&] { return load_runtime(missing).pid == 7; }));
  std::filesystem::rename(missing, folder.path() / "away");
  CHECK(save_until([&] { return failures == 2; }));
}

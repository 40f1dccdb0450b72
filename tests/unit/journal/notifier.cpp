// The notifier against a real datagram socket, as the service manager has one.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>

#include "base/handle.hpp"
#include "catch.hpp"
#include "journal/journal.hpp"

using namespace rcptsync;
using namespace std::chrono_literals;

namespace {

// The manager's end of NOTIFY_SOCKET.
class Manager {
 public:
  Manager() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    std::string folder = (std::filesystem::temp_directory_path() / "notify-XXXXXX").native();
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    path_ = folder + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path_.copy(address.sun_path, sizeof address.sun_path - 1) == path_.size());
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  ~Manager() {
    ::unsetenv("NOTIFY_SOCKET");
    std::filesystem::remove_all(folder_);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// The next datagram; empty if there is none.
  [[nodiscard]] std::string received() const {
    std::array<char, 4096> buffer{};
    const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    return size < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(size));
  }

 private:
  Fd socket_;
  std::filesystem::path folder_;
  std::string path_;
};

}  // namespace

TEST_CASE("the manager is told each state by one datagram") {
  const Manager manager;
  const auto notifier = journal::create_notifier();
  notifier->ready();
  CHECK(manager.received() == "READY=1");
  notifier->status("generation 7, 3 of 3 targets current");
  CHECK(manager.received() == "STATUS=generation 7, 3 of 3 targets current");
  notifier->watchdog();
  CHECK(manager.received() == "WATCHDOG=1");
  notifier->stopping();
  CHECK(manager.received() == "STOPPING=1");
  CHECK(manager.received().empty());
  CHECK(std::getenv("NOTIFY_SOCKET") != nullptr);
}

TEST_CASE("a reload is announced with the time at which it began") {
  const auto monotonic = [] {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000 + now.tv_nsec / 1'000;
  };
  const Manager manager;
  const auto before = monotonic();
  journal::create_notifier()->reloading();
  const auto after = monotonic();
  const std::string head = "RELOADING=1\nMONOTONIC_USEC=";
  const auto datagram = manager.received();
  REQUIRE(datagram.starts_with(head));
  const auto usec = std::stoll(datagram.substr(head.size()));
  CHECK(usec >= before);
  CHECK(usec <= after);
}

TEST_CASE("a status cannot smuggle in another assignment") {
  const Manager manager;
  journal::create_notifier()->status("reading\nSTOPPING=1\nMAINPID=1");
  CHECK(manager.received() == "STATUS=reading STOPPING=1 MAINPID=1");
}

TEST_CASE("without a manager, or with one that is gone, nothing happens") {
  ::unsetenv("NOTIFY_SOCKET");
  const auto notifier = journal::create_notifier();
  notifier->ready();
  notifier->stopping();
  {
    const Manager manager;
    CHECK(manager.received().empty());
  }
  ::setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
  notifier->ready();
  ::unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("the watchdog is fed at half the manager's interval, and only if it is ours") {
  const auto notifier = journal::create_notifier();
  ::unsetenv("WATCHDOG_PID");
  ::unsetenv("WATCHDOG_USEC");
  CHECK_FALSE(notifier->watchdog_interval());
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  CHECK(notifier->watchdog_interval() == std::optional<std::chrono::microseconds>(30s));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  CHECK(notifier->watchdog_interval() == std::optional<std::chrono::microseconds>(30s));
  ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
  CHECK_FALSE(notifier->watchdog_interval());
  ::unsetenv("WATCHDOG_PID");
  ::unsetenv("WATCHDOG_USEC");
}

#include "source/file_watch.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <set>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "base/time.hpp"

namespace rcptsync::source {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto calm = 300ms;   ///< this long without another change before it rings
constexpr auto patience = 3s;  ///< but never longer than this
constexpr int max_links = 40;
constexpr std::uint32_t events = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                 IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                 IN_ONLYDIR | IN_EXCL_UNLINK;

/// folder → names in it that lead to a file.
using Names = std::map<std::string, std::set<std::string, std::less<>>>;

// Every step from the root to the file. The rest of the way is unknown where something is missing.
void add_steps(const std::string& path, Names& names) {
  std::deque<std::string> left;
  const auto push_front = [&](const fs::path& way) {
    std::deque<std::string> parts;
    for (const auto& part : way.relative_path())
      if (!part.empty() && part != ".") parts.push_back(part.native());
    left.insert(left.begin(), parts.begin(), parts.end());
  };
  push_front(path);
  fs::path folder = "/";
  for (int links = 0; !left.empty() && links < max_links;) {
    const auto name = left.front();
    left.pop_front();
    if (name == "..") {
      folder = folder.parent_path();
      continue;
    }
    names[folder.native()].insert(name);
    std::error_code error;
    const auto target = fs::read_symlink(folder / name, error);
    if (!error) {
      ++links;
      if (target.is_absolute()) folder = "/";
      push_front(target);
    } else if (!left.empty()) {
      folder /= name;
      if (!fs::is_directory(folder, error)) return;
    }
  }
}

class Bell {
 public:
  static Result<Bell> open() {
    Bell bell;
    bell.inotify_ = Fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (!bell.inotify_) return system_error(errno, "cannot watch files: inotify_init");
    bell.wake_ = Fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (!bell.wake_) return system_error(errno, "cannot watch files: eventfd");
    return bell;
  }

  /// Watches the way to each path as it is now.
  Result<> arm(const std::vector<std::string>& paths) {
    Names names;
    for (const auto& path : paths) add_steps(path, names);
    std::map<int, std::set<std::string, std::less<>>> watched;
    for (auto& [folder, in_it] : names) {
      const int watch = ::inotify_add_watch(inotify_.get(), folder.c_str(), events);
      // A folder that went away meanwhile is seen by the watch on the one above it.
      if (watch < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
      // One that may only be passed through cannot be watched, and need not be.
      if (watch < 0 && errno == EACCES) continue;
      if (watch < 0)
        return system_error(
            errno, fmt::format("cannot watch {}{}", escape(folder),
                               errno == ENOSPC ? " (raise fs.inotify.max_user_watches)" : ""));
      watched[watch].merge(in_it);
    }
    for (const auto& [watch, in_it] : watched_)
      if (!watched.contains(watch)) ::inotify_rm_watch(inotify_.get(), watch);
    watched_ = std::move(watched);
    return {};
  }

  /// Waits until something happens to the paths or the time is over; true if something did.
  bool wait(std::chrono::milliseconds time) {
    pollfd polled[] = {{inotify_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    ::poll(polled, 2, static_cast<int>(time.count()));
    bool ours = false;
    alignas(inotify_event) char buffer[16384];
    for (;;) {
      const auto got = ::read(inotify_.get(), buffer, sizeof buffer);
      if (got <= 0) return ours;
      for (const char* at = buffer; at < buffer + got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(at);
        ours = ours || concerns(*event);
        at += sizeof(inotify_event) + event->len;
      }
    }
  }

  /// Ends a wait() from another thread, and each later one.
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = ::write(wake_.get(), &one, sizeof one);
  }

 private:
  [[nodiscard]] bool concerns(const inotify_event& event) const {
    if ((event.mask & IN_Q_OVERFLOW) != 0) return true;
    const auto watch = watched_.find(event.wd);
    if (watch == watched_.end() || (event.mask & IN_IGNORED) != 0) return false;
    return event.len == 0 || watch->second.contains(std::string_view(event.name));
  }

  Fd inotify_, wake_;
  std::map<int, std::set<std::string, std::less<>>> watched_;
};

}  // namespace

Result<> watch_files(const std::vector<std::string>& paths, const std::function<void()>& armed,
                     const std::function<void()>& ring, std::stop_token stop) {
  auto bell = Bell::open();
  if (!bell) return bell.error();
  const std::stop_callback on_stop(stop, [&] { bell->wake(); });
  if (auto done = bell->arm(paths); !done) return done;
  armed();
  while (!stop.stop_requested()) {
    if (!bell->wait(1s)) continue;
    const auto latest = system_clock().steady() + patience;
    while (!stop.stop_requested() && system_clock().steady() < latest && bell->wait(calm)) {
    }
    // What came or went on the way may have to be watched, or no more.
    if (auto done = bell->arm(paths); !done) return done;
    if (!stop.stop_requested()) ring();
  }
  return Error{Errc::cancelled, "the watch was stopped"};
}

}  // namespace rcptsync::source

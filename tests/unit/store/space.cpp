// A full disk: the write fails, the state stays, and goes on when there is room again. On a small
// tmpfs of its own, in a mount namespace of its own: needs root.
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

// Runs `body` in a process where `folder` is a disk of its own. 50 and more: it could not be set
// up.
int on_small_disk(const Folder& folder, const char* size, const std::function<int()>& body) {
  return Child([&] {
           if (::unshare(CLONE_NEWNS) != 0) {
             fmt::print(stderr, "unshare: {} (this test needs root)\n", std::strerror(errno));
             return 50;
           }
           if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 51;
           if (::mount("tmpfs", folder.path.c_str(), "tmpfs", 0, size) != 0) return 52;
           return body();
         })
      .wait();
}

}  // namespace

TEST_CASE("a disk that fills up leaves the state as it was, and room lets it go on") {
  Folder folder;
  CHECK(on_small_disk(folder, "size=8m,mode=0700", [&] {
          const auto ballast = folder.path / "ballast";
          std::ofstream(ballast) << std::string(4 << 20, 'x');
          auto store = open_owner(folder.path);
          if (!store) return 1;
          if (!fill(**store, 1000)) return 2;
          const auto full = fill(**store, 20000);
          if (full || full.error().code != Errc::no_space) return 3;
          if (full.error().message.find("data.mdb") == std::string::npos) return 4;
          if (!inconsistency(**store).empty()) return 5;
          SeededRandom random(1);
          std::filesystem::remove(ballast);
          if (!advance(**store, random, 100)) return 6;
          if (!inconsistency(**store).empty()) return 7;
          store->reset();
          store = open_owner(folder.path);
          if (!store) return 8;
          return inconsistency(**store).empty() ? 0 : 9;
        }) == 0);
}

TEST_CASE("a disk that is full at the first start leaves no half state behind") {
  Folder folder;
  CHECK(on_small_disk(folder, "size=1m,mode=0700", [&] {
          const auto ballast = folder.path / "ballast";
          std::ofstream(ballast) << std::string(2 << 20, 'x');
          const auto store = open_owner(folder.path);
          if (store || store.error().code != Errc::no_space) return 1;
          if (std::filesystem::exists(folder.data())) return 2;
          if (std::filesystem::exists(folder.path / "data.mdb.new")) return 3;
          std::filesystem::remove(ballast);
          return open_owner(folder.path) ? 0 : 4;
        }) == 0);
}

TEST_CASE("a state on a read-only disk can be read") {
  Folder folder;
  CHECK(on_small_disk(folder, "size=8m,mode=0700", [&] {
          {
            auto store = open_owner(folder.path);
            if (!store || !fill(**store, 100)) return 1;
          }
          if (::mount(nullptr, folder.path.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0)
            return 2;
          auto store = open_reader(folder.path);
          if (!store) return 3;
          if (!inconsistency(**store).empty()) return 4;
          store->reset();
          const auto owner = open_owner(folder.path);
          return !owner && owner.error().code == Errc::permission ? 0 : 5;
        }) == 0);
}

#include "source/file_source.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/handle.hpp"
#include "catch.hpp"
#include "files.hpp"
#include "source/accounts.hpp"
#include "source/table_source.hpp"

using namespace rcptsync;
using namespace rcptsync::source;
using namespace std::chrono_literals;
using test::Folder;
using test::Seen;

namespace {

// Long enough for a test that fails to be seen to, short enough for one that has to wait it out.
constexpr FileLimits hasty{.quiet = 50ms, .attempts = 5};

std::unique_ptr<Source> table(const std::string& path, FileLimits limits = hasty) {
  return create_file_source(plan_table({.path = path}), limits);
}

Result<Complete> full(Source& source, Seen& seen) {
  return source.read({ReadKind::full, {}, {}}, seen, {});
}

Result<Complete> incremental(Source& source, Seen& seen, const std::string& cookie) {
  return source.read({ReadKind::incremental, cookie, {}}, seen, {});
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("a full read tells every line, with file and line as origin") {
  const Folder folder;
  const auto path = folder.write("t", "# x\nada@example.com\nbob@example.com OK\n");
  folder.set_time("t", -86400);
  Seen seen;
  const auto complete = full(*table(path), seen);
  REQUIRE(complete);
  CHECK(complete->kind == ReadKind::full);
  CHECK(complete->unseen_gone);
  CHECK(complete->objects == 2);
  CHECK(seen.objects.size() == 2);
  CHECK(seen.origins["address:bob@example.com"] == path + ":3");
}

TEST_CASE("moving a line keeps its key, another case of it too") {
  const Folder folder;
  const auto path = folder.write("t", "ada@example.com\nBOB@example.com\n");
  Seen before, after;
  REQUIRE(full(*table(path), before));
  folder.replace("t", "bob@example.com\n\nada@example.com\n");
  REQUIRE(full(*table(path), after));
  REQUIRE(after.objects.size() == 2);
  for (const auto& [key, values] : after.objects) CHECK(before.objects.contains(key));
}

TEST_CASE("an incremental read of unchanged files says that nothing changed") {
  const Folder folder;
  const auto path = folder.write("t", "ada@example.com\n");
  const auto source = table(path);
  Seen seen;
  auto complete = full(*source, seen);
  REQUIRE(complete);
  Seen again;
  const auto same = incremental(*source, again, complete->cookie);
  REQUIRE(same);
  CHECK(same->kind == ReadKind::incremental);
  CHECK_FALSE(same->unseen_gone);
  CHECK(again.objects.empty());
  CHECK(same->cookie == complete->cookie);

  SECTION("touched, or written again with the same bytes: by digest") {
    folder.replace("t", "ada@example.com\n");
    const auto touched = incremental(*source, again, complete->cookie);
    REQUIRE(touched);
    CHECK(touched->kind == ReadKind::incremental);
    CHECK(touched->cookie != complete->cookie);
    CHECK(again.objects.empty());
  }
  SECTION("changed without another size, and with its old time") {
    folder.set_time("t", -86400);
    complete = full(*source, seen);
    REQUIRE(complete);
    folder.write("t", "bob@example.com\n");
    folder.set_time("t", -86400);
    const auto changed = incremental(*source, again, complete->cookie);
    REQUIRE(changed);
    CHECK(changed->kind == ReadKind::full);
    CHECK(changed->unseen_gone);
    CHECK(again.objects.contains("address:bob@example.com"));
  }
  SECTION("a cookie that is damaged, foreign or of other settings is a full read") {
    for (const auto& cookie :
         {std::string("x"), complete->cookie.substr(0, 40), complete->cookie.substr(1),
          std::string(1, '\0'), complete->cookie + complete->cookie}) {
      Seen whole;
      const auto read = incremental(*source, whole, cookie);
      REQUIRE(read);
      // The whole cookie with something behind it still says what the file looked like.
      if (!cookie.starts_with(complete->cookie)) CHECK(read->kind == ReadKind::full);
    }
    const auto other =
        create_file_source(plan_table({.path = path, .format = config::TableFormat::list}), hasty);
    const auto read = incremental(*other, again, complete->cookie);
    REQUIRE(read);
    CHECK(read->kind == ReadKind::full);
  }
  SECTION("a file that has gone is a failed read") {
    ::unlink(path.c_str());
    const auto gone = incremental(*source, again, complete->cookie);
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == Errc::not_found);
  }
}

TEST_CASE("what is no plain file is refused, and never waited for") {
  const Folder folder;
  Seen seen;
  SECTION("a FIFO") {
    REQUIRE(::mkfifo((folder / "t").c_str(), 0600) == 0);
    const auto read = full(*table(folder / "t"), seen);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::invalid);
  }
  SECTION("a folder, a device") {
    for (const auto& path : {folder / ".", std::string("/dev/zero")}) {
      const auto read = full(*table(path), seen);
      REQUIRE_FALSE(read);
      CHECK(read.error().code == Errc::invalid);
    }
  }
  SECTION("a file that everybody can write to") {
    const auto path = folder.write("t", "ada@example.com\n");
    std::filesystem::permissions(path, std::filesystem::perms(0666));
    const auto read = full(*table(path), seen);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::permission);
    CHECK(read.error().message.find("chmod o-w") != std::string::npos);
  }
  SECTION("a missing file") {
    const auto read = full(*table(folder / "t"), seen);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::not_found);
    CHECK(read.error().message.find(folder / "t") != std::string::npos);
  }
  SECTION("a file that is larger than the limit") {
    const auto path = folder.write("t", "ada@example.com\nbob@example.com\n");
    const auto read = full(*table(path, {.size = 20, .quiet = 0ms}), seen);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::limit);
  }
  SECTION("a symbolic link is followed") {
    folder.write("t", "ada@example.com\n");
    std::filesystem::create_symlink("t", folder / "link");
    CHECK(full(*table(folder / "link"), seen));
  }
}

TEST_CASE("a file is believed only after it was left alone") {
  const Folder folder;
  const auto path = folder.write("t", "ada@example.com\n");
  Seen seen;
  SECTION("whatever its times say, it is looked at twice") {
    for (const std::int64_t away : {-86400, -10, 0, 10, 86400}) {
      folder.set_time("t", away);
      const auto began = std::chrono::steady_clock::now();
      REQUIRE(full(*table(path, {.quiet = 200ms}), seen));
      CHECK(std::chrono::steady_clock::now() - began >= 200ms);
    }
  }
  SECTION("the one that the last read believed is not waited for, be the read full or not") {
    const auto source = table(path, {.quiet = 60s, .attempts = 1});
    const auto believed = full(*table(path), seen);
    REQUIRE(believed);
    for (const auto kind : {ReadKind::full, ReadKind::incremental}) {
      const auto read = source->read({kind, believed->cookie, {}}, seen, {});
      REQUIRE(read);
      CHECK(read->kind == kind);
    }
  }
  SECTION("every change of it is waited for") {
    const auto believed = full(*table(path), seen);
    REQUIRE(believed);
    SECTION("other bytes") {
      folder.write("t", "bob@example.com\n");
    }
    SECTION("another time") {
      folder.set_time("t", -3600);
    }
    SECTION("another file with the same bytes") {
      folder.replace("t", "ada@example.com\n");
    }
    for (const auto kind : {ReadKind::full, ReadKind::incremental}) {
      const auto began = std::chrono::steady_clock::now();
      REQUIRE(table(path, {.quiet = 200ms})->read({kind, believed->cookie, {}}, seen, {}));
      CHECK(std::chrono::steady_clock::now() - began >= 200ms);
    }
  }
  // A file server whose clock is behind or ahead gives a file that is being written such times.
  SECTION("a copy that goes on is no file yet, whatever its times say") {
    for (const std::int64_t away : {-86400, 86400}) {
      folder.write("t", "");
      std::atomic<bool> first_half = false;
      std::jthread writer([&] {
        for (int i = 0; i < 50; ++i) {
          std::ofstream(path, std::ios::binary | std::ios::app) << "user" << i << "@example.com\n";
          folder.set_time("t", away);
          first_half = i >= 25;
          std::this_thread::sleep_for(10ms);
        }
      });
      REQUIRE(eventually([&] { return first_half.load(); }));
      REQUIRE(full(*table(path, {.quiet = 2000ms, .attempts = 60}), seen));
      CHECK(seen.objects.size() == 50);
      seen.objects.clear();
    }
  }
  SECTION("bytes that change without any of its times are seen too") {
    // A store into a mapped page that is dirty already changes no time (mmap(2), MAP_SHARED).
    const Fd file{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    REQUIRE(file);
    void* page = ::mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    REQUIRE(page != MAP_FAILED);
    auto* letter = static_cast<volatile char*>(page);
    {
      std::jthread writer([&](const std::stop_token& stop) {
        for (int i = 0; !stop.stop_requested(); ++i) {
          *letter = static_cast<char>('a' + i % 26);
          std::this_thread::sleep_for(1ms);
        }
      });
      const auto read = full(*table(path, {.quiet = 105ms, .attempts = 3}), seen);
      REQUIRE_FALSE(read);
      CHECK(read.error().code == Errc::busy);
    }
    ::munmap(page, 1);
  }
  SECTION("a copy that goes on is no file yet; when it ends, it is read whole") {
    std::atomic<bool> first_half = false;
    std::jthread writer([&] {
      std::ofstream out(path, std::ios::binary);
      for (int i = 0; i < 50; ++i) {
        out << "user" << i << "@example.com\n" << std::flush;
        first_half = i >= 25;
        std::this_thread::sleep_for(10ms);
      }
    });
    REQUIRE(eventually([&] { return first_half.load(); }));
    REQUIRE(full(*table(path, {.quiet = 2000ms, .attempts = 60}), seen));
    CHECK(seen.objects.size() == 50);
  }
  SECTION("one that is written to all the time is an error in the end") {
    std::jthread writer([&](const std::stop_token& stop) {
      for (int i = 0; !stop.stop_requested(); ++i) {
        folder.write("t", "user" + std::to_string(i) + "@example.com\n");
        std::this_thread::sleep_for(1ms);
      }
    });
    const auto read = full(*table(path, {.quiet = 400ms, .attempts = 3}), seen);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::busy);
    CHECK(read.error().message.find("rename") != std::string::npos);
  }
  SECTION("a stop ends the wait") {
    std::stop_source stop;
    std::jthread stopper([&] {
      std::this_thread::sleep_for(50ms);
      stop.request_stop();
    });
    const auto read = table(path, {.quiet = 60s})->read({}, seen, stop.get_token());
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::cancelled);
  }
  SECTION("a failed read names file and line") {
    folder.write("t", "ada@example.com\nbob@exa");
    const auto read = full(*table(path), seen);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find(path + ": line 2: ") == 0);
    CHECK(seen.objects.empty());
  }
}

TEST_CASE("accounts and aliases are one source") {
  const Folder folder;
  config::AccountsSource settings;
  settings.passwd = folder.write("passwd", "ada:x:1000:1000::/home/ada:/bin/sh\n");
  settings.aliases = folder.write("aliases", "postmaster: ada\n");
  settings.domains = {"example.com", "example.net"};
  const auto source = create_file_source(plan_accounts(settings), hasty);
  Seen seen;
  const auto complete = full(*source, seen);
  REQUIRE(complete);
  CHECK(complete->objects == 2);
  CHECK(seen.objects["user:ada"] == std::vector<std::string>{"ada@example.com", "ada@example.net"});
  CHECK(seen.objects["alias:postmaster"].size() == 2);

  // A change of either is a change of the source.
  folder.replace("aliases", "abuse: ada\n");
  Seen again;
  const auto changed = incremental(*source, again, complete->cookie);
  REQUIRE(changed);
  CHECK(changed->kind == ReadKind::full);
  CHECK(again.objects.contains("alias:abuse"));
  CHECK(again.objects.contains("user:ada"));
}

TEST_CASE("a key is never longer than a key may be") {
  const Folder folder;
  const auto line = std::string(500, 'x');
  const auto path = folder.write("t", "ada@example.com\nbob@example.com\n" + line + "\n");
  Seen seen;
  REQUIRE(full(*table(path), seen));
  REQUIRE(seen.objects.size() == 3);
  for (const auto& [key, values] : seen.objects) CHECK((!key.empty() && key.size() <= 128));
}

TEST_CASE("the doorbell rings for everything that can change a file") {
  const Folder folder;
  std::filesystem::create_directory(folder / "data");
  folder.write("data/t", "ada@example.com\n");
  std::filesystem::create_symlink("data", folder / "current");
  const auto path = folder / "current/t";
  const auto source = table(path);
  REQUIRE(source->can_watch());
  Seen seen;
  const auto complete = full(*source, seen);
  REQUIRE(complete);

  std::atomic<int> rings = 0;
  std::atomic<bool> listening = false;
  Result<> ended = Error{Errc::internal, ""};
  std::stop_source stop;
  std::jthread watcher([&] {
    ended = source->watch(
        {complete->cookie, {}, [&] { listening = true; }}, [&] { ++rings; }, stop.get_token());
  });
  REQUIRE(eventually([&] { return listening.load(); }));
  CHECK(rings == 0);
  const auto rings_after = [&](const auto& change) {
    const int before = rings;
    change();
    return eventually([&] { return rings > before; });
  };
  CHECK(rings_after([&] { folder.replace("data/t", "bob@example.com\n"); }));
  CHECK(rings_after([&] { folder.write("data/t", "cyd@example.com\n"); }));
  CHECK(rings_after([&] { std::filesystem::rename(folder / "data/t", folder / "data/old"); }));
  CHECK(rings_after([&] { folder.write("data/t", "dan@example.com\n"); }));
  CHECK(rings_after([&] {  // the link is pointed elsewhere
    std::filesystem::create_directory(folder / "data2");
    folder.write("data2/t", "eve@example.com\n");
    std::filesystem::create_symlink("data2", folder / "next");
    std::filesystem::rename(folder / "next", folder / "current");
  }));
  CHECK(rings_after([&] { folder.replace("data2/t", "fay@example.com\n"); }));
  CHECK(rings_after([&] { std::filesystem::remove_all(folder / "data2"); }));
  CHECK(rings_after([&] { std::filesystem::create_directory(folder / "data2"); }));
  CHECK(rings_after([&] { folder.write("data2/t", "gus@example.com\n"); }));
  stop.request_stop();
  watcher.join();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == Errc::cancelled);
}

TEST_CASE("what changed between the read and the watch rings at once") {
  const Folder folder;
  const auto path = folder.write("t", "ada@example.com\n");
  const auto source = table(path);
  Seen seen;
  const auto complete = full(*source, seen);
  REQUIRE(complete);
  folder.replace("t", "bob@example.com\n");
  std::stop_source stop;
  std::atomic<int> rings = 0;
  std::jthread watcher([&] {
    (void)source->watch(
        {complete->cookie, {}, {}}, [&] { ++rings; }, stop.get_token());
  });
  CHECK(eventually([&] { return rings > 0; }));
  stop.request_stop();
}

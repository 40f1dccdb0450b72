// cycle-bench — what a cycle costs at a given number of objects, without a directory and without
// targets: the comparison with the last read, the commit, and the digest that follows it.
//
//     cycle-bench OBJECTS [ROUNDS]
//
// Fills a state in a folder of its own under $TMPDIR from an empty one, reads the same once more in
// each of the rounds, and then changes ten objects in each of them. Prints one JSON document:
// seconds, bytes of memory, bytes on the disk.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "made_up.hpp"
#include "recipient/rules.hpp"
#include "service/commit.hpp"
#include "service/target_tables.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

using namespace rcptsync;

namespace {

constexpr std::size_t changed_objects = 10;

/// Seconds since the last call.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(began_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// A field of /proc/self/status, in bytes.
std::uint64_t status(std::string_view name) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name)) return std::stoull(line.substr(name.size() + 1)) * 1024;
  return 0;
}

[[noreturn]] void give_up(const Error& error) {
  std::cerr << "cycle-bench: " << error.message << "\n";
  std::exit(1);
}

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error());
  return std::move(*result);
}

class Bench {
 public:
  explicit Bench(std::filesystem::path folder, std::uint64_t objects)
      : objects_(objects),
        folder_(std::move(folder)),
        store_(need(store::open_owner(folder_))),
        rules_(need(recipient::Rules::compile(config_.recipients))) {
    config_.guard.min_recipients = 1;
  }

  void first_load() {
    Stopwatch watch;
    sync::ReadSession session(known_, hasher_);
    for (std::uint64_t number = 0; number < objects_; ++number) bench::upsert(session, number, 0);
    auto changes = session.finish(true);
    const auto compared = watch.lap();
    const auto memory = status("RssAnon:");
    commit(changes);
    const auto committed = watch.lap();
    const auto peak = status("VmHWM:");
    digest();
    fmt::print(
        "{{\"objects\": {}, \"first_load\": {{\"compare\": {:.4f}, \"commit\": {:.4f}, "
        "\"digest\": {:.4f}, \"read_memory\": {}, \"peak_memory\": {}}},\n",
        objects_, compared, committed, watch.lap(), memory, peak);
    changes = {};
    ::malloc_trim(0);
  }

  void unchanged(std::size_t count) {
    fmt::print(" \"unchanged\": [");
    for (std::size_t round = 1; round <= count; ++round) {
      Stopwatch watch;
      sync::ReadSession session(known_, hasher_);
      for (std::uint64_t number = 0; number < objects_; ++number) bench::upsert(session, number, 0);
      const auto changes = session.finish(true);
      const auto compared = watch.lap();
      if (cycle(changes).generation) give_up({Errc::internal, "nothing changed, and it does"});
      fmt::print("{}\n  {{\"compare\": {:.5f}, \"commit\": {:.6f}}}", round == 1 ? "" : ",",
                 compared, watch.lap());
    }
    fmt::print("],\n");
  }

  void rounds(std::size_t count) {
    fmt::print(" \"ten_changes\": [");
    for (std::size_t round = 1; round <= count; ++round) {
      Stopwatch watch;
      sync::ReadSession session(known_, hasher_);
      for (std::size_t i = 0; i < changed_objects; ++i)
        bench::upsert(session, objects_ / changed_objects * i + round % 2, round);
      const auto changes = session.finish(false);
      const auto compared = watch.lap();
      commit(changes);
      const auto committed = watch.lap();
      digest();
      fmt::print("{}\n  {{\"compare\": {:.5f}, \"commit\": {:.5f}, \"digest\": {:.4f}}}",
                 round == 1 ? "" : ",", compared, committed, watch.lap());
    }
    fmt::print("],\n \"private_memory\": {}, \"data_mdb\": {}}}\n", status("RssAnon:"),
               std::filesystem::file_size(folder_ / "data.mdb"));
  }

 private:
  service::CycleReport cycle(const sync::ObjectChanges& changes) {
    service::CycleInput input;
    input.rules = &rules_;
    input.config = &config_;
    input.now = WallTime::clock::now();
    service::SourceInput source;
    source.name = "bench";
    source.type = "ldap";
    source.healthy = true;
    source.changes = &changes;
    input.sources.push_back(std::move(source));
    return need(service::commit_cycle(*store_, input));
  }

  void commit(const sync::ObjectChanges& changes) {
    const auto report = cycle(changes);
    if (!report.generation) give_up({Errc::internal, "no generation came of it"});
    generation_ = report.generation->number;
    const auto& upserts = changes.upserts;
    if (known_.size() == 0) known_.reserve(upserts.size());
    for (std::size_t i = 0; i < upserts.size(); ++i) known_.put(upserts.key(i), upserts.hash(i));
  }

  void digest() {
    Result<Digest> digest = Digest{};
    const auto read = store_->read([&](store::View& view) -> Result<> {
      digest = service::table_digest(view);
      return {};
    });
    if (!read) give_up(read.error());
    const auto noted = service::note_digest(*store_, generation_, need(std::move(digest)));
    if (!noted) give_up(noted.error());
  }

  std::uint64_t objects_;
  std::filesystem::path folder_;
  std::unique_ptr<store::Store> store_;
  config::Config config_;
  recipient::Rules rules_;
  sync::ObjectHasher hasher_{1};
  sync::KnownObjects known_{1};
  std::uint64_t generation_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || count > 3) {
    std::cerr << "usage: cycle-bench OBJECTS [ROUNDS]\n";
    return 2;
  }
  const auto* const parent = std::getenv("TMPDIR");
  auto folder = std::string(parent != nullptr ? parent : "/tmp") + "/rcptsync-cycle-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    std::perror("cycle-bench: no temporary folder");
    return 1;
  }
  {
    Bench bench(folder, std::strtoull(arguments[1], nullptr, 10));
    bench.first_load();
    const auto rounds = count == 3 ? std::strtoull(arguments[2], nullptr, 10) : 5;
    bench.unchanged(rounds);
    bench.rounds(rounds);
  }
  std::filesystem::remove_all(folder);
  return 0;
}

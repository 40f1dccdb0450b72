// operator-state — makes the state that `tests/bench/run --only operator` asks rcptsyncctl about.
//
//     operator-state CONFIGURATION RECIPIENTS GENERATIONS
//
// In the state folder of that configuration, which has no state yet: a first table of RECIPIENTS
// made-up addresses; GENERATIONS more that add a hundred addresses each and remove the hundred of
// the one before; one that adds a thousand; and then those thousand gone, which the guard holds.
// The targets hold the table in force, but every third that is five generations behind.
//
// Prints as JSON which generations and addresses to ask about.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "base/digest.hpp"
#include "config/load.hpp"
#include "made_up.hpp"
#include "recipient/rules.hpp"
#include "service/commit.hpp"
#include "service/location.hpp"
#include "service/target_tables.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

using namespace rcptsync;

namespace {

constexpr std::uint64_t changed_each_time = 100;
constexpr std::uint64_t held_removals = 1000;
constexpr std::uint64_t generations_behind = 5;

[[noreturn]] void give_up(std::string_view message) {
  std::cerr << "operator-state: " << message << "\n";
  std::exit(1);
}

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

void need(const Result<>& result) {
  if (!result) give_up(result.error().message);
}

class State {
 public:
  State(const config::Config& config, std::uint64_t objects)
      : config_(config),
        objects_(objects),
        store_(need(store::open_owner(config.state_dir))),
        rules_(need(recipient::Rules::compile(config.recipients))) {}

  void fill(std::size_t generations) {
    sync::ReadSession session(known_, hasher_);
    for (std::uint64_t number = 0; number < objects_; ++number) bench::upsert(session, number, 0);
    commit(session.finish(true));
    for (std::size_t round = 1; round <= generations; ++round)
      change(changed_each_time, round, false);
    change(held_removals, generations + 1, true);
    note_true_digest();
    change(held_removals, 0, true);
    if (!held_) give_up("the guard held nothing");
    set_targets();
    print();
  }

 private:
  /// Gives `count` objects, spread over all, another fourth address: those with even numbers, or
  /// with odd ones.
  void change(std::uint64_t count, std::size_t round, bool odd) {
    sync::ReadSession session(known_, hasher_);
    const auto step = objects_ / 2 / count * 2;
    for (std::uint64_t i = 0; i < count; ++i)
      bench::upsert(session, step * i + (odd ? 1 : 0), round);
    commit(session.finish(false));
  }

  void commit(const sync::ObjectChanges& changes) {
    service::SourceInput source;
    source.name = config_.sources.front().name;
    source.type = config::to_string(config_.sources.front().type);
    source.healthy = true;
    source.changes = &changes;
    service::CycleInput input;
    input.rules = &rules_;
    input.config = &config_;
    input.now = now_ += std::chrono::minutes(5);
    input.sources.push_back(std::move(source));
    const auto report = need(service::commit_cycle(*store_, input));
    held_ = report.hold.has_value();
    if (report.generation) {
      generation_ = report.generation->number;
      // The true one of each would take longer than all the rest, and nothing asks for these.
      need(service::note_digest(*store_, generation_, sha256(fmt::format("{}", generation_))));
    }
    const auto& upserts = changes.upserts;
    if (known_.size() == 0) known_.reserve(upserts.size());
    for (std::size_t i = 0; i < upserts.size(); ++i) known_.put(upserts.key(i), upserts.hash(i));
  }

  void note_true_digest() {
    Result<Digest> digest = Digest{};
    need(store_->read([&](store::View& view) -> Result<> {
      digest = service::table_digest(view);
      return {};
    }));
    digest_ = need(std::move(digest));
    need(service::note_digest(*store_, generation_, digest_));
  }

  void set_targets() {
    need(store_->write([&](store::Transaction& transaction) -> Result<bool> {
      std::size_t number = 0;
      for (const auto& target : config_.targets) {
        const bool behind = number++ % 3 == 2;
        store::TargetRecord record;
        record.name = target.name;
        record.location = service::location_of(target);
        record.digest = digest_;
        record.generation = generation_ - (behind ? generations_behind : 0);
        record.last_success = now_;
        record.judged = true;
        if (auto put = transaction.put_target(record); !put) return put.error();
      }
      return true;
    }));
  }

  void print() const {
    fmt::print(
        "{{\"generation\": {}, \"listed\": \"gfamily{}@example.com\", "
        "\"vanished\": \"change-1-0@example.com\", \"mistyped\": \"gfamilx{}@example.com\", "
        "\"unknown\": \"nobody.has.such.a.name@example.com\"}}\n",
        generation_, objects_ / 2, objects_ / 2);
  }

  const config::Config& config_;
  std::uint64_t objects_;
  std::unique_ptr<store::Store> store_;
  recipient::Rules rules_;
  sync::ObjectHasher hasher_{1};
  sync::KnownObjects known_{1};
  WallTime now_ = WallTime::clock::now() - std::chrono::hours(48);
  std::uint64_t generation_ = 0;
  Digest digest_;
  bool held_ = false;
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::cerr << "usage: operator-state CONFIGURATION RECIPIENTS GENERATIONS\n";
    return 2;
  }
  const auto loaded = config::load(arguments[1]);
  for (const auto& fault : loaded.faults) std::cerr << fault.text() << "\n";
  if (!loaded.usable() || loaded.config.sources.empty()) return 2;
  const auto objects = std::strtoull(arguments[2], nullptr, 10) / bench::addresses_each;
  if (objects < 2 * held_removals) give_up("too few recipients");
  State(loaded.config, objects).fill(std::strtoull(arguments[3], nullptr, 10));
  return 0;
}

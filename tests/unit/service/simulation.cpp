// Seeded simulation: directories that change and fail, an operator who decides, crashes, restarts
// and a clock that jumps, against a real store. After every step the store is what the model says,
// and invariants 1 to 3 of the contract hold, whatever the model says.
//
//   tests/simulate --seed 17       one seed again
#include <cstdlib>

#include "base/random.hpp"
#include "model.hpp"
#include "recipient/table.hpp"
#include "snapshot.hpp"
#include "store/ledger.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;

namespace {

constexpr std::uint64_t seeds = 200;
constexpr int steps = 60;

/// How often what the simulation is about happened: where it never does, nothing is shown.
struct Seen {
  std::uint64_t first_held = 0, holds = 0, ended = 0, approved = 0, refused = 0, graces = 0,
                deferred = 0, waiting = 0, rollbacks = 0, pinned = 0, crashes = 0;
} seen;

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed), world_(in_memory()) {
    world_.config.guard.max_removals = 8;
    world_.config.guard.max_removal_percent = 50;
    for (const auto* name : {"corp", "file", "unix"}) {
      auto& source = world_.sources[name];
      for (int i = 0; i < 12; ++i) hire(source);
    }
  }

  void step() {
    change_directories();
    change_configuration();
    give_orders();
    if (chance(12)) world_.now += std::chrono::hours(static_cast<int>(below(145)) - 72);
    world_.ring = chance(6);
    for (auto& [name, source] : world_.sources) {
      source.read = !world_.ring || chance(2);
      source.full = !world_.ring;
    }
    if (chance(10)) {
      ++seen.crashes;
      return world_.crash();  // the orders stay for the next cycle
    }
    if (chance(10)) world_.reopen();

    const Snapshot before(world_.store());
    const auto orders = world_.orders;
    const auto report = world_.cycle();
    model_.step(world_, orders);
    const Snapshot after(world_.store());
    adopt_attribution(after);
    check_model(after);
    check_contract(before, after, report, orders);
    check_ledger();
    count(after, report);
    if (after.hold && !after.held.empty()) old_.push_back(world_.order(Order::Kind::approve));
    // Killed after the commit, before the files are removed: they are carried out again.
    if (chance(4)) world_.orders = orders;
  }

 private:
  void count(const Snapshot& after, const CycleReport& report) {
    seen.first_held += after.generation == 0;
    seen.holds += report.hold_is_new;
    seen.ended += report.hold_ended;
    seen.approved += report.approved;
    for (const auto& [address, digest] : after.refused)
      seen.refused += after.table.contains(address);
    seen.graces += after.grace.size();
    for (const auto& [address, row] : after.table) seen.deferred += row.reject == deferred;
    seen.waiting += after.pinned == 0 ? after.pending.size() : 0;
    seen.rollbacks += model_.rolled_back;
    seen.pinned += after.pinned != 0;
  }

  std::uint64_t below(std::uint64_t limit) { return random_.next() % limit; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

  // ---- what happens

  void hire(FakeSource& source) {
    const auto key = "k" + std::to_string(below(40));
    source.objects[key] = {};
    const auto domain = "@d" + std::to_string(below(3)) + ".example";
    source.objects[key].push_back("u" + std::to_string(below(25)) + domain);
    if (chance(4)) source.objects[key].push_back("v" + std::to_string(below(25)) + domain);
    source.classes[key] = static_cast<recipient::ObjectClass>(1 + below(2));
  }

  void change_directories() {
    if (chance(3)) return;
    for (auto& [name, source] : world_.sources) {
      source.up = !chance(8);
      if (chance(12)) source.server = chance(2) ? "dc1" : "dc2";
      source.behind = chance(15) ? "it lags" : "";
      const auto hired = chance(6) ? 15 : below(4);
      for (std::uint64_t i = 0; i < hired; ++i) hire(source);
      const auto left = chance(8) ? 14 : below(3);
      for (std::uint64_t i = 0; i < left && !source.objects.empty(); ++i) {
        auto gone = source.objects.begin();
        std::advance(gone, static_cast<std::ptrdiff_t>(below(source.objects.size())));
        source.objects.erase(gone);
      }
      if (chance(25)) source.objects.clear();
      if (name == "file" && chance(4)) {
        source.rejects.clear();
        for (int i = 0; i < 6; ++i)
          source.rejects["u" + std::to_string(below(25)) + "@d0.example"] = "550 not here";
      }
    }
  }

  void change_configuration() {
    auto& config = world_.config;
    if (chance(15))
      config.recipients.domains = chance(2) ? std::vector<std::string>{"d0.example", "d1.example"}
                                            : std::vector<std::string>{};
    if (chance(15)) {
      config.recipients.entries.clear();
      if (chance(2))
        config.recipients.entries = {entry("u1@d0.example", "550 has left"), entry("u2@d1.example"),
                                     entry("x@d9.example")};
    }
    if (chance(10)) config.guard.max_removals = below(20);
    if (chance(10)) config.guard.max_removal_percent = 10 * static_cast<double>(below(11));
    if (chance(20)) config.guard.min_recipients = below(30);
    if (chance(20))
      config.guard.canaries =
          chance(2) ? std::vector<std::string>{"u3@d0.example"} : std::vector<std::string>{};
    if (chance(10)) config.removal.grace = config::Seconds(below(3) * 3600);
    if (chance(10))
      config.removal.answer =
          chance(2) ? config::Removal::Answer::defer : config::Removal::Answer::keep;
    if (chance(20)) {
      if (world_.sources.erase("unix") == 0)
        for (int i = 0; i < 12; ++i) hire(world_.sources["unix"]);
    }
    if (chance(15)) world_.sources["corp"].settings = std::to_string(below(1000));
  }

  void give_orders() {
    const auto give = [this](Order::Kind kind) -> Order& {
      world_.orders.push_back(world_.order(kind));
      return world_.orders.back();
    };
    if (chance(5)) give(Order::Kind::approve);
    if (chance(7)) give(Order::Kind::reject);
    if (chance(15) && !old_.empty()) {  // a set of long ago
      world_.orders.push_back(old_[below(old_.size())]);
      world_.orders.back().id = next_order_id();
      world_.orders.back().kind = chance(2) ? Order::Kind::approve : Order::Kind::reject;
    }
    if (chance(6) && !model_.refused.empty()) {  // by its digest alone
      auto& order = give(Order::Kind::approve);
      order.removals.clear();
      order.digest = model_.refused.begin()->second;
    }
    if (chance(25)) give(Order::Kind::rollback).generation = below(model_.generation + 2);
    if (chance(model_.pinned != 0 ? 4 : 40)) give(Order::Kind::resync);
  }

  // ---- what must be

  // Whom a row of long ago came from is in the ledger; the model does not keep that.
  void adopt_attribution(const Snapshot& after) {
    if (!model_.rolled_back) return;
    const auto want = model_.wants();
    for (auto& [address, row] : model_.table) {
      const auto one = want.find(address);
      if (one != want.end() && one->second.accepts() && row.accepts()) continue;
      if (const auto real = after.table.find(address); real != after.table.end()) {
        row.source = real->second.source;
        row.kind = real->second.kind;
      }
    }
  }

  void check_model(const Snapshot& after) {
    REQUIRE(Model::texts(after.table) == Model::texts(model_.table));
    for (const auto& [address, row] : model_.table) {
      if (!row.accepts() || after.table.at(address) == row) continue;
      const auto& real = after.table.at(address);
      INFO(address << " is of " << real.source << ' ' << recipient::to_string(real.kind) << ", not "
                   << row.source << ' ' << recipient::to_string(row.kind));
      FAIL("another attribution");
    }
    REQUIRE(after.held == model_.held);
    REQUIRE(after.grace == model_.grace);
    REQUIRE(after.refused == model_.refused);
    REQUIRE(after.pending == model_.pending);
    REQUIRE(after.pinned == model_.pinned);
    REQUIRE(after.generation == model_.generation);
    REQUIRE(after.counts_agree);
    REQUIRE(after.refusal_counts == after.refused.size());
    if (after.generation > 0) REQUIRE(after.hold.has_value() == !after.held.empty());
    if (!after.held.empty()) REQUIRE(after.hold->digest == digest_of(removals(after.held)));
  }

  static std::vector<Removal> removals(const std::map<std::string, std::string>& texts) {
    std::vector<Removal> removals;
    for (const auto& [address, text] : texts) removals.push_back({address, text});
    return removals;
  }

  void check_contract(const Snapshot& before, const Snapshot& after, const CycleReport& report,
                      const std::vector<Order>& orders) {
    // 1. Nothing goes anywhere while a source is ill, but what an operator let go or went back to.
    bool ill = world_.ring;
    for (const auto& [name, source] : world_.sources) ill = ill || !source.up;
    std::set<std::string> ordered;
    for (const auto& order : orders) {
      for (const auto& removal : order.removals) ordered.insert(removal.address);
      for (const auto& [address, digest] : before.refused)
        if (digest == order.digest) ordered.insert(address);
    }
    if (ill && !model_.rolled_back)
      for (const auto& [address, row] : before.table)
        if (row.accepts() && !ordered.contains(address)) {
          INFO(address);
          REQUIRE(after.table.contains(address));
          REQUIRE(after.table.at(address).accepts());
        }
    // 2. Additions flow, and a hold is told once.
    if (after.generation > 0 && after.pinned == 0)
      for (const auto& [address, want] : model_.wants())
        if (want.accepts()) {
          INFO(address);
          REQUIRE(after.table.contains(address));
          REQUIRE(after.table.at(address).accepts());
        }
    const bool other = after.hold && (!before.hold || before.hold->digest != after.hold->digest);
    REQUIRE(report.hold_is_new == other);
    REQUIRE(report.hold_ended == (before.hold && !after.hold));
    // 3. The bytes follow from the published set alone.
    std::string table, access;
    for (const auto& [address, row] : after.table)
      row.accepts() ? table += address + "\tOK\n" : access += address + "\t" + row.reject + "\n";
    REQUIRE(world_.table() == table);
    REQUIRE(world_.access() == access);
    if (report.generation) REQUIRE(report.generation->digest == sha256(table));
  }

  void check_ledger() {
    if (model_.generation == 0) return;
    const auto generation = 1 + below(model_.generation);
    Model::Texts rows;
    REQUIRE(world_.store().read([&](store::View& view) {
      return store::each_row_of(view, generation,
                                [&](std::string_view address, std::string_view reject) {
                                  rows.emplace(address, reject);
                                  return true;
                                });
    }));
    REQUIRE(rows == model_.ledger.at(generation));
  }

  SeededRandom random_;
  World world_;
  Model model_;
  std::vector<Order> old_;
};

void run(std::uint64_t seed) {
  CAPTURE(seed);
  Simulation simulation(seed);
  for (int step = 0; step < steps; ++step) {
    CAPTURE(step);
    simulation.step();
  }
}

}  // namespace

TEST_CASE("simulation: polls, holds, orders, crashes, restarts and clock jumps") {
  if (const char* one = std::getenv("RCPTSYNC_SEED")) return run(std::strtoull(one, nullptr, 10));
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) run(seed);
  for (const auto often :
       {seen.first_held, seen.holds, seen.ended, seen.approved, seen.refused, seen.graces,
        seen.deferred, seen.waiting, seen.rollbacks, seen.pinned, seen.crashes})
    CHECK(often > 100);
}

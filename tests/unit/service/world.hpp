// world — a small company for tests of whole cycles: a real store in a temporary folder, sources
// that are maps.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"
#include "folder.hpp"
#include "recipient/table.hpp"
#include "service/commit.hpp"
#include "service/target_tables.hpp"
#include "store/store.hpp"
#include "sync/object_table.hpp"

namespace rcptsync::service::test {

/// A source that a test can change, break and move to another server.
struct FakeSource {
  std::map<std::string, std::vector<std::string>> objects;  ///< key → values
  std::map<std::string, std::string> rejects;               ///< value → reject text
  std::map<std::string, recipient::ObjectClass> classes;    ///< key → class; else user
  bool up = true;
  std::string server = "dc1";
  bool read = true;    ///< in this cycle
  bool full = true;    ///< false: an incremental read, whatever the objects are
  std::string behind;  ///< as source::Complete
  std::string cookie;
  std::string settings = "as first configured";  ///< what decides its content
};

/// The same state, but no commit succeeds: the disk is full, or the process is killed.
class FailingStore : public store::Store {
 public:
  explicit FailingStore(store::Store& store) : store_(store) {}
  Result<bool> write(const std::function<Result<bool>(store::Transaction&)>& body) override {
    return store_.write([&](store::Transaction& transaction) -> Result<bool> {
      if (auto done = body(transaction); !done) return done.error();
      return Error{Errc::no_space, "killed before the commit"};
    });
  }
  Result<> read(const std::function<Result<>(store::View&)>& body) override {
    return store_.read(body);
  }
  Result<> copy_to(const std::filesystem::path& folder) override { return store_.copy_to(folder); }

 private:
  store::Store& store_;
};

class World {
 public:
  explicit World(const std::filesystem::path& parent = std::filesystem::temp_directory_path())
      : folder_(parent) {
    reopen();
  }

  config::Config config;
  std::map<std::string, FakeSource> sources;
  std::vector<Order> orders;  ///< of the next cycle
  bool ring = false;          ///< the next cycles do not remove anything

  /// As after a restart of the daemon: only the store remembers.
  void reopen() {
    store_.reset();
    auto opened = store::open_owner(folder_.path());
    REQUIRE(opened);
    store_ = std::move(*opened);
  }

  CycleReport cycle() {
    now += std::chrono::minutes(5);
    auto report = cycle_now(*store_);
    REQUIRE(report);
    orders.clear();
    if (report->generation) complete(*report->generation);
    return *report;
  }

  /// A cycle that is not committed. The orders stay.
  void crash() {
    now += std::chrono::minutes(5);
    FailingStore failing(*store_);
    REQUIRE_FALSE(cycle_now(failing));
  }

  /// All that is held, as an operator's tool finds it.
  Order order(Order::Kind kind) {
    Order order;
    order.kind = kind;
    order.id = next_order_id();
    order.by = "ada";
    REQUIRE(store_->read([&](store::View& view) -> Result<> {
      if (const auto hold = view.hold().value()) order.digest = hold->digest;
      return view.each_held([&](std::string_view address, const store::HeldRecord& held) {
        order.removals.push_back({std::string(address), held.reject});
        return true;
      });
    }));
    return order;
  }
  CycleReport cycle_with(Order order) {
    orders.push_back(std::move(order));
    return cycle();
  }

  /// The table in force, in format postfix.
  std::string table() { return tables().recipients.bytes; }
  std::string access() { return tables().access.bytes; }

  std::set<std::string> accepted() {
    std::set<std::string> addresses;
    for (const auto& address : recipient::addresses_in(table(), config::Format::postfix))
      addresses.insert(address);
    return addresses;
  }

  store::Store& store() { return *store_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

  WallTime now{std::chrono::seconds(1772366400)};

 private:
  Result<CycleReport> cycle_now(store::Store& store) {
    auto rules = recipient::Rules::compile(config.recipients);
    REQUIRE(rules);
    config.sources.clear();
    CycleInput input;
    std::map<std::string, sync::ObjectChanges> changes;
    for (auto& [name, source] : sources) {
      config::Source settings;
      settings.name = name;
      config.sources.push_back(settings);
      const bool said = source.up && source.read;
      if (said) changes[name] = read(name, source);
      input.sources.push_back({name, "active-directory", source.up, said ? &changes[name] : nullptr,
                               source.server, source.cookie, source.full, source.behind,
                               sha256(source.settings)});
    }
    input.rules = &*rules;
    input.config = &config;
    input.now = now;
    input.orders = orders;
    input.additions_only = ring;
    return commit_cycle(store, input, true);
  }

  recipient::Tables tables() {
    recipient::Tables tables;
    const auto read = store_->read([&](store::View& view) -> Result<> {
      recipient::TableSettings settings;
      settings.with_access = true;
      auto made = make_target_tables(view, settings);
      if (!made) return made.error();
      tables = std::move(made->tables);
      return {};
    });
    REQUIRE(read);
    return tables;
  }

  /// As the daemon does after the commit.
  void complete(store::Generation& generation) {
    const auto read = store_->read([&](store::View& view) -> Result<> {
      auto digest = table_digest(view);
      if (!digest) return digest.error();
      generation.digest = *digest;
      return {};
    });
    REQUIRE(read);
    REQUIRE(note_digest(*store_, generation.number, generation.digest));
  }

  sync::ObjectChanges read(const std::string& name, const FakeSource& source) {
    sync::KnownObjects known;
    std::uint64_t seed = 0;
    const auto loaded = store_->read([&](store::View& view) -> Result<> {
      seed = view.meta()->hash_seed;
      const auto records = view.sources();
      if (!records) return records.error();
      for (const auto& record : *records)
        if (record.name == name)
          return view.each_hash(record.id,
                                [&](std::string_view key, const store::StoredHash& hash) {
                                  known.put(key, {hash.low, hash.high});
                                  return true;
                                });
      return {};
    });
    REQUIRE(loaded);
    sync::ReadSession session(known, sync::ObjectHasher(seed));
    for (const auto& [key, texts] : source.objects) {
      std::vector<recipient::Value> values;
      for (const auto& text : texts) {
        const auto reject = source.rejects.find(text);
        values.push_back({"proxyAddresses", text, {}});
        if (reject != source.rejects.end()) values.back().reject = reject->second;
      }
      const auto kind = source.classes.find(key);
      session.upsert({key, "cn=" + key,
                      kind == source.classes.end() ? recipient::ObjectClass::user : kind->second,
                      recipient::Drop::kept, values});
    }
    return session.finish(true);
  }

  Folder folder_;
  std::unique_ptr<store::Store> store_;
};

inline config::StaticEntry entry(std::string address, std::string reject = {}) {
  config::StaticEntry result;
  result.address = std::move(address);
  result.reject = std::move(reject);
  return result;
}

}  // namespace rcptsync::service::test

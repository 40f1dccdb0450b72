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
  bool up = true;
  std::string server = "dc1";
  bool read = true;    ///< in this cycle
  bool full = true;    ///< false: an incremental read, whatever the objects are
  std::string behind;  ///< as source::Complete
  std::string cookie;
};

class World {
 public:
  World() { reopen(); }

  config::Config config;
  std::map<std::string, FakeSource> sources;

  /// As after a restart of the daemon: only the store remembers.
  void reopen() {
    store_.reset();
    auto opened = store::open_owner(folder_.path());
    REQUIRE(opened);
    store_ = std::move(*opened);
  }

  CycleReport cycle() {
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
                               source.server, source.cookie, source.full, source.behind});
    }
    input.rules = &*rules;
    input.config = &config;
    input.now = now += std::chrono::minutes(5);
    auto report = commit_cycle(*store_, input, true);
    REQUIRE(report);
    if (report->generation) complete(*report->generation);
    return *report;
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
      session.upsert(
          {key, "cn=" + key, recipient::ObjectClass::user, recipient::Drop::kept, values});
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

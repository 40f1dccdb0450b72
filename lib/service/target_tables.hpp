// target_tables — the tables of the generation in force, made once for all targets with the same
// settings.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/table.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct TargetTables {
  recipient::Tables tables;
  std::uint64_t generation = 0;
};

/// The settings that decide a target's bytes. An access table is used where something can stand in
/// it: a static entry with a reject text, a source that can bring some, or deferred removals.
recipient::TableSettings table_settings(const config::Config& config, const config::Target& target);

/// True if the recipients table of these settings is the one whose digest a generation has.
bool is_whole_table(const recipient::TableSettings& settings);

/// The digest of the table in force, without making the table.
Result<Digest> table_digest(store::View& view);

/// The digest of a generation: as stored, or of the table in force where it is not known yet.
Result<Digest> digest_of(store::View& view, const store::Generation& generation);

/// Notes the digest of the generation in force, if that still is `generation`.
Result<> note_digest(store::Store& store, std::uint64_t generation, const Digest& digest);

/// Makes them from one consistent view.
Result<TargetTables> make_target_tables(store::View& view,
                                        const recipient::TableSettings& settings);

/// Keeps the tables of one generation as long as some target uses them. Safe to use from several
/// threads.
class TableCache {
 public:
  explicit TableCache(store::Store& store) : store_(store) {}
  Result<std::shared_ptr<const TargetTables>> get(const recipient::TableSettings& settings);

 private:
  store::Store& store_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const TargetTables>> made_;
};

}  // namespace rcptsync::service

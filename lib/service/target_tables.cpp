#include "service/target_tables.hpp"

#include <algorithm>

#include "recipient/address.hpp"

namespace rcptsync::service {
namespace {

std::string cache_key(const recipient::TableSettings& settings) {
  std::string key(config::to_string(settings.format));
  key += settings.with_access ? "+" : "-";
  for (const auto& domain : settings.domains) key += "," + domain;
  return key;
}

Result<recipient::Tables> tables_of(store::View& view, const recipient::TableSettings& settings) {
  Result<> visited;
  const recipient::RowStream rows = [&](const std::function<void(const recipient::Row&)>& take) {
    visited =
        view.each_recipient([&](std::string_view address, const store::RecipientRecord& record) {
          take({address, record.reject});
          return true;
        });
  };
  auto tables = recipient::make_tables(rows, settings);
  if (!visited) return visited.error();
  return tables;
}

}  // namespace

bool is_whole_table(const recipient::TableSettings& settings) {
  return settings.format == config::Format::postfix && settings.domains.empty();
}

Result<Digest> table_digest(store::View& view) {
  recipient::TableSettings settings;
  settings.digest_only = true;
  const auto tables = tables_of(view, settings);
  if (!tables) return tables.error();
  return tables->recipients.digest;
}

Result<Digest> digest_of(store::View& view, const store::Generation& generation) {
  if (generation.digest != Digest{}) return generation.digest;
  return table_digest(view);
}

Result<> note_digest(store::Store& store, std::uint64_t generation, const Digest& digest) {
  const auto written = store.write([&](store::Transaction& transaction) -> Result<bool> {
    const auto meta = transaction.meta();
    if (!meta) return meta.error();
    if (meta->generation != generation) return false;
    if (auto put = transaction.put_digest(generation, digest); !put) return put.error();
    return true;
  });
  if (!written) return written.error();
  return {};
}

recipient::TableSettings table_settings(const config::Config& config,
                                        const config::Target& target) {
  recipient::TableSettings settings;
  settings.format = target.format;
  for (const auto& domain : target.domains)
    settings.domains.push_back(recipient::canonical_domain(domain));
  std::sort(settings.domains.begin(), settings.domains.end());
  const bool postfix =
      target.format == config::Format::postfix || target.format == config::Format::postfix_access;
  const bool rejects =
      std::any_of(config.recipients.entries.begin(), config.recipients.entries.end(),
                  [](const auto& entry) { return !entry.reject.empty(); });
  const bool sources_reject =
      std::any_of(config.sources.begin(), config.sources.end(),
                  [](const auto& source) { return source.type == config::SourceType::table; });
  const bool defers = config.removal.answer == config::Removal::Answer::defer;
  settings.with_access = postfix && (rejects || sources_reject || defers);
  return settings;
}

Result<TargetTables> make_target_tables(store::View& view,
                                        const recipient::TableSettings& settings) {
  const auto meta = view.meta();
  if (!meta) return meta.error();
  auto tables = tables_of(view, settings);
  if (!tables) return tables.error();
  return TargetTables{std::move(*tables), meta->generation};
}

Result<std::shared_ptr<const TargetTables>> TableCache::get(
    const recipient::TableSettings& settings) {
  const std::lock_guard lock(mutex_);
  const auto key = cache_key(settings);
  std::shared_ptr<const TargetTables> tables;
  const auto read = store_.read([&](store::View& view) -> Result<> {
    const auto meta = view.meta();
    if (!meta) return meta.error();
    if (auto kept = made_[key].lock(); kept && kept->generation == meta->generation) {
      tables = std::move(kept);
      return {};
    }
    auto made = make_target_tables(view, settings);
    if (!made) return made.error();
    tables = std::make_shared<const TargetTables>(std::move(*made));
    made_[key] = tables;
    return {};
  });
  if (!read) return read.error();
  return tables;
}

}  // namespace rcptsync::service

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

}  // namespace

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
  Result<> visited;
  const recipient::RowStream rows = [&](const std::function<void(const recipient::Row&)>& take) {
    visited =
        view.each_recipient([&](std::string_view address, const store::RecipientRecord& record) {
          take({address, record.reject});
          return true;
        });
  };
  TargetTables made{recipient::make_tables(rows, settings), meta->generation};
  if (!visited) return visited.error();
  return made;
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

// snapshot — all of a store that a cycle decides about, as maps for tests; and whether its counts
// agree with its rows.
#pragma once

#include <map>
#include <string>

#include "model.hpp"

namespace rcptsync::service::test {

struct Snapshot {
  std::map<std::string, Model::Row> table;
  std::map<std::string, std::string> held, pending;
  std::map<std::string, WallTime> grace;
  std::map<std::string, Digest> refused;
  std::optional<store::Hold> hold;
  std::uint64_t refusal_counts = 0, generation = 0, pinned = 0;
  bool counts_agree = true;

  explicit Snapshot(store::Store& store) {
    REQUIRE(store.read([&](store::View& view) -> Result<> {
      take(view);
      return {};
    }));
  }

 private:
  void take(store::View& view) {
    const auto meta = view.meta().value();
    generation = meta.generation;
    pinned = meta.pinned;
    hold = view.hold().value();
    std::map<store::SourceId, store::SourceRecord> sources;
    for (const auto& source : view.sources().value()) sources[source.id] = source;

    std::uint64_t accepted = 0, supplied = 0;
    std::array<std::uint64_t, store::class_count> classes{};
    std::map<store::SourceId, std::uint64_t> by_source;
    std::map<std::string, store::DomainRecord> domains;
    REQUIRE(view.each_recipient([&](std::string_view address, const store::RecipientRecord& row) {
      auto& domain = domains[std::string(address.substr(address.rfind('@') + 1))];
      supplied += row.supplied;
      domain.supplied += row.supplied;
      if (row.reject.empty()) {
        ++accepted;
        ++domain.accepted;
        ++by_source[row.source];
        ++classes[static_cast<std::size_t>(row.kind)];
      }
      const auto source = sources.find(row.source);
      table[std::string(address)] = {
          row.reject, source == sources.end() ? std::string() : source->second.name, row.kind};
      return true;
    }));
    counts_agree =
        meta.accepted == accepted && meta.supplied == supplied && meta.classes == classes;
    for (const auto& [id, source] : sources)
      counts_agree = counts_agree && source.accepted == by_source[id];
    for (const auto& [name, record] : view.domains().value()) {
      counts_agree = counts_agree && domains[name].accepted == record.accepted &&
                     domains[name].supplied == record.supplied;
      domains.erase(name);
    }
    for (const auto& [name, record] : domains)
      counts_agree = counts_agree && record.accepted + record.supplied == 0;

    REQUIRE(view.each_held([&](std::string_view address, const store::HeldRecord& record) {
      held[std::string(address)] = record.reject;
      return true;
    }));
    REQUIRE(view.each_pending([&](const store::Change& change) {
      pending[change.address] = change.reject;
      return true;
    }));
    REQUIRE(view.each_grace([&](std::string_view address, WallTime gone) {
      grace[std::string(address)] = gone;
      return true;
    }));
    REQUIRE(view.each_refused([&](std::string_view address, const Digest& digest) {
      refused[std::string(address)] = digest;
      return true;
    }));
    for (const auto& refusal : view.refusals().value()) refusal_counts += refusal.count;
  }
};

}  // namespace rcptsync::service::test

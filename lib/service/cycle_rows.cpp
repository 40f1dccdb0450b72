#include "service/cycle_rows.hpp"

#include <algorithm>

#include "recipient/address.hpp"

namespace rcptsync::service {

void CycleRows::put(std::string_view address, const Wanted& after, const Before& before,
                    bool configuration) {
  Row row{.address = address, .source = after.source};
  row.kind = static_cast<std::uint8_t>(after.kind) & 0x3fU;
  row.supplied = after.supplied ? 1 : 0;
  row.configuration = configuration ? 1 : 0;
  if (before || !after.reject.empty()) {
    row.detail = static_cast<std::uint32_t>(details_.size());
    details_.push_back({std::string(after.reject), before, false});
  }
  supplied_delta_ += int{after.supplied} - int{before && before->supplied};
  if (before && before->supplied && before->reject.empty() && !after.supplied)
    orphans_.push_back({address, before->source, before->kind});
  if (before && !before->supplied && before->reject.empty() && after.supplied)
    adopted_.push_back(address);
  rows_.push_back(row);
}

void CycleRows::erase(std::string_view address, const store::RecipientRecord& before,
                      bool configuration) {
  Row row{.address = address, .detail = static_cast<std::uint32_t>(details_.size())};
  row.configuration = configuration ? 1 : 0;
  details_.push_back({{}, before, true});
  supplied_delta_ -= int{before.supplied};
  rows_.push_back(row);
}

void CycleRows::sort() {
  const auto by_address = [](const Row& a, const Row& b) { return a.address < b.address; };
  if (!sorted_ && !std::is_sorted(rows_.begin(), rows_.end(), by_address))
    std::sort(rows_.begin(), rows_.end(), by_address);
  sorted_ = true;
}

Digest CycleRows::digest() {
  sort();
  Sha256 hash;
  for (const auto& row : rows_) {
    const auto& reject = details_[row.detail].reject;
    hash.update(row.address);
    hash.update(reject.empty() ? "\n" : "\t" + reject + "\n");
  }
  return hash.finish();
}

bool CycleRows::visible(const Row& row) const {
  const auto& detail = details_[row.detail];
  return detail.erase || !detail.before || detail.before->reject != detail.reject;
}

Result<> CycleRows::write(store::Transaction& transaction, std::uint64_t number) {
  sort();
  for (const auto& row : rows_)
    if (auto written = write_row(transaction, row, number); !written) return written;
  for (const auto& [name, delta] : domains_) {
    if (delta == Deltas{}) continue;
    auto stored = transaction.domain(name);
    if (!stored) return stored.error();
    auto record = stored->value_or(store::DomainRecord{});
    record.accepted += static_cast<std::uint64_t>(delta.accepted);
    record.supplied += static_cast<std::uint64_t>(delta.supplied);
    if (auto put = transaction.put_domain(name, record); !put) return put;
  }
  return {};
}

Result<> CycleRows::write_row(store::Transaction& transaction, const Row& row,
                              std::uint64_t number) {
  const auto& detail = details_[row.detail];
  const bool seen = visible(row);
  visible_ += seen ? 1 : 0;
  by_configuration_ += seen && row.configuration != 0 ? 1 : 0;
  if (detail.before) count(row.address, *detail.before, -1);
  if (detail.erase) return transaction.erase_recipient(row.address);
  store::RecipientRecord record;
  record.reject = detail.reject;
  record.since = seen ? number : detail.before->since;
  record.supplied = row.supplied != 0;
  record.source = row.source;
  record.kind = static_cast<recipient::ObjectClass>(row.kind);
  count(row.address, record, +1);
  return transaction.put_recipient(row.address, record);
}

void CycleRows::count(std::string_view address, const store::RecipientRecord& record, int sign) {
  const auto domain = recipient::domain_of(address);
  auto place = domains_.find(domain);
  if (place == domains_.end()) place = domains_.emplace(domain, Deltas{}).first;
  place->second.supplied += record.supplied ? sign : 0;
  if (!record.reject.empty()) return;
  place->second.accepted += sign;
  sources_[record.source] += sign;
  classes_[static_cast<std::size_t>(record.kind)] += sign;
}

void CycleRows::count_into(store::Meta& meta) const {
  for (const auto& [name, delta] : domains_) {
    meta.accepted += static_cast<std::uint64_t>(delta.accepted);
    meta.supplied += static_cast<std::uint64_t>(delta.supplied);
  }
  for (std::size_t i = 0; i < classes_.size(); ++i)
    meta.classes[i] += static_cast<std::uint64_t>(classes_[i]);
}

void CycleRows::each_change(const std::function<void(const store::ChangeView&)>& take) const {
  using store::Operation;
  for (const auto& row : rows_) {
    if (!visible(row)) continue;
    const auto& [reject, before, erase] = details_[row.detail];
    const auto operation = erase    ? Operation::removed
                           : before ? Operation::changed
                                    : Operation::added;
    take({operation, row.address, reject, before ? std::string_view(before->reject) : "",
          erase ? before->source : row.source,
          erase ? before->kind : static_cast<recipient::ObjectClass>(row.kind)});
  }
}

}  // namespace rcptsync::service

#include "service/ownership.hpp"

#include <algorithm>
#include <tuple>

#include "base/text_sort.hpp"

namespace rcptsync::service {
namespace {

constexpr std::size_t stored_hopeless_values = 100;  // of one object; the rest is only counted
constexpr std::size_t stored_hopeless_bytes = 320;   // of one such value
constexpr std::size_t named_dropped_values = 20;     // in one cycle, for each reason

// A value without canonical form is no address under any rules: it is stored for a person to read,
// not to be judged again.
bool hopeless(const store::StoredValue& value) {
  return value.canonical.empty();
}

store::StoredHash stored(const sync::ObjectHash& hash) {
  return {hash.low, hash.high};
}

/// Puts the value into the next of the record's places, whose memory is used again.
void append_judged(store::ObjectRecord& record, std::size_t& count, std::size_t& hopeless_count,
                   const recipient::Judged& judged) {
  auto text = judged.text;
  if (judged.canonical.empty()) {
    if (++hopeless_count > stored_hopeless_values) {
      ++record.values_not_kept;
      return;
    }
    text = text.substr(0, stored_hopeless_bytes);
  }
  if (count == record.values.size()) record.values.emplace_back();
  auto& value = record.values[count++];
  value.attribute = judged.attribute;
  value.text = text;
  value.canonical = judged.canonical;
  value.reject = judged.reject;
  value.drop = judged.drop;
  value.rule_line = judged.rule_line;
}

}  // namespace

// If one object names an address twice, acceptance wins.
void Ownership::unite(OwnedAddresses& addresses) {
  std::sort(addresses.begin(), addresses.end(), [](const Owned& a, const Owned& b) {
    if (const auto order = a.address.compare(b.address); order != 0) return order < 0;
    return a.reject.empty() && !b.reject.empty();
  });
  const auto same = [](const Owned& a, const Owned& b) { return a.address == b.address; };
  addresses.erase(std::unique(addresses.begin(), addresses.end(), same), addresses.end());
}

void Ownership::owned_by(const store::ObjectRecord& record, OwnedAddresses& addresses) {
  addresses.clear();
  for (const auto& value : record.values)
    if (value.drop == recipient::Drop::kept) addresses.push_back({value.canonical, value.reject});
  unite(addresses);
}

void Ownership::judge(const sync::ChangedObject& object, store::ObjectRecord& record,
                      OwnedAddresses& addresses) {
  record.hash = stored(object.hash);
  record.origin = object.origin;
  record.kind = object.kind;
  record.drop = object.drop;
  record.values_not_kept = 0;
  addresses.clear();
  std::size_t count = 0;
  std::size_t hopeless_count = 0;
  for (const auto& judged : rules_.judge(object.object())) {
    append_judged(record, count, hopeless_count, judged);
    if (judged.drop != recipient::Drop::kept) continue;
    // Most addresses stand in the directory as they are folded, and need no copy.
    const auto written = recipient::without_prefix(judged.text);
    addresses.push_back(
        {written == judged.canonical ? written : texts_.keep(judged.canonical), judged.reject});
  }
  record.values.resize(count);
  unite(addresses);
}

Ownership::OwnerChange Ownership::change_of(std::string_view address, store::SourceId source,
                                            std::string_view key, bool erase) const {
  return {.address_begin = address.data(),
          .key_begin = key.data(),
          .erase = erase ? 1U : 0U,
          .configuration = configuration_ ? 1U : 0U,
          .source = source,
          .address_size = static_cast<std::uint8_t>(address.size()),
          .key_size = static_cast<std::uint8_t>(key.size())};
}

void Ownership::add_change(std::string_view address, store::SourceId source, std::string_view key,
                           recipient::ObjectClass kind, std::string_view reject, bool erase) {
  auto& change = changes_.emplace_back(change_of(address, source, key, erase));
  change.kind = static_cast<std::uint32_t>(kind) & 7U;
  change.reject_begin = reject.data();
  change.reject_size = static_cast<std::uint32_t>(reject.size()) & 0x7ffffffU;
}

void Ownership::keep(OwnedAddresses& addresses) {
  for (auto& owned : addresses) owned = {texts_.keep(owned.address), texts_.keep(owned.reject)};
}

void Ownership::replace_owners(store::SourceId source, std::string_view key, const Holding& before,
                               const Holding& after) {
  auto was = before.addresses.begin();
  auto is = after.addresses.begin();
  while (was != before.addresses.end() || is != after.addresses.end()) {
    const int order = was == before.addresses.end() ? 1
                      : is == after.addresses.end() ? -1
                                                    : was->address.compare(is->address);
    if (order < 0) {
      add_change(texts_.keep(was->address), source, key, before.kind, {}, true);
      if (was->reject.empty()) lost_ = true;
      ++was;
    } else if (order > 0) {
      add_change(is->address, source, key, after.kind, is->reject, false);
      ++is;
    } else {
      if (was->reject != is->reject || before.kind != after.kind)
        add_change(is->address, source, key, after.kind, is->reject, false);
      if (was->reject.empty() && !is->reject.empty()) lost_ = true;
      ++was;
      ++is;
    }
  }
}

// ---- what the rules drop
// ---------------------------------------------------------------------------------------

void Ownership::replace_mentions(store::SourceId source, std::string_view key,
                                 const store::ObjectRecord* before,
                                 const store::ObjectRecord* after) {
  const auto collect = [](const store::ObjectRecord* record,
                          std::vector<std::string_view>& dropped) {
    dropped.clear();
    if (record == nullptr) return;
    for (const auto& value : record->values)
      if (value.drop != recipient::Drop::kept && !hopeless(value))
        dropped.push_back(value.canonical);
    std::sort(dropped.begin(), dropped.end());
    dropped.erase(std::unique(dropped.begin(), dropped.end()), dropped.end());
  };
  collect(before, dropped_before_);
  collect(after, dropped_after_);
  for (const auto& address : dropped_before_)
    if (!std::binary_search(dropped_after_.begin(), dropped_after_.end(), address))
      mentions_.push_back(change_of(texts_.keep(address), source, key, true));
  for (const auto& address : dropped_after_)
    if (!std::binary_search(dropped_before_.begin(), dropped_before_.end(), address))
      mentions_.push_back(change_of(texts_.keep(address), source, key, false));
}

Result<> Ownership::write_mentions() {
  std::stable_sort(mentions_.begin(), mentions_.end(), [](const auto& a, const auto& b) {
    if (const auto order = a.address().compare(b.address()); order != 0) return order < 0;
    if (a.source != b.source) return a.source < b.source;
    return a.key() < b.key();
  });
  for (const auto& mention : mentions_) {
    const auto done =
        mention.erase ? transaction_.erase_mention(mention.address(), mention.source, mention.key())
                      : transaction_.put_mention(mention.address(), mention.source, mention.key());
    if (!done) return done;
  }
  mentions_ = {};
  return {};
}

void Ownership::note_dropped(const std::string& source, const store::ObjectRecord& record,
                             const store::ObjectRecord* before) {
  for (const auto& value : record.values) {
    // Of what could be recipients only those that the source's settings drop with their object:
    // whom that concerns is something that a person has to see.
    const bool by_settings = record.drop != recipient::Drop::kept && value.drop == record.drop;
    if (!hopeless(value) && !by_settings) continue;
    if (before != nullptr &&
        std::find(before->values.begin(), before->values.end(), value) != before->values.end())
      continue;
    ++dropped_;
    const auto named =
        std::count_if(sample_.begin(), sample_.end(),
                      [&](const DroppedValue& other) { return other.drop == value.drop; });
    if (static_cast<std::size_t>(named) < named_dropped_values)
      sample_.push_back({source, record.origin, value.attribute, value.text, value.drop});
  }
  const auto not_kept_before = before != nullptr ? before->values_not_kept : 0;
  if (record.values_not_kept > not_kept_before)
    dropped_ += record.values_not_kept - not_kept_before;
}

Result<> Ownership::apply(store::SourceRecord& source, const sync::ObjectChanges& changes,
                          bool configuration, bool& lost) {
  const bool fresh = source.objects == 0;  // nothing of it is there to be looked up
  lost_ = false;
  configuration_ = configuration;
  sync::ChangedObject object;
  store::ObjectRecord after;
  OwnedAddresses owned_before, owned_after;
  for (std::size_t i = 0; i < changes.upserts.size(); ++i) {
    changes.upserts.unpack(i, object);
    std::optional<store::ObjectRecord> before;
    if (!fresh) {
      auto found = transaction_.object(source.id, object.key);
      if (!found) return found.error();
      before = std::move(*found);
    }
    owned_before.clear();
    if (before) owned_by(*before, owned_before);
    judge(object, after, owned_after);
    if (auto put = transaction_.put_object(source.id, object.key, after); !put) return put;
    replace_owners(source.id, object.key, {owned_before, before ? before->kind : after.kind},
                   {owned_after, after.kind});
    replace_mentions(source.id, object.key, before ? &*before : nullptr, &after);
    note_dropped(source.name, after, before ? &*before : nullptr);
    if (!before) ++source.objects;
    wrote_ = true;
  }
  for (const auto& key : changes.removals) {
    auto before = transaction_.object(source.id, key);
    if (!before) return before.error();
    if (!*before) continue;
    if (auto erased = transaction_.erase_object(source.id, key); !erased) return erased;
    owned_by(**before, owned_before);
    replace_owners(source.id, key, {owned_before, (*before)->kind}, {{}, (*before)->kind});
    replace_mentions(source.id, key, &**before, nullptr);
    --source.objects;
    wrote_ = true;
  }
  lost = lost_;
  configuration_ = true;
  return {};
}

store::ObjectRecord Ownership::judged_again(std::string_view key,
                                            const store::ObjectRecord& before) const {
  std::vector<recipient::Value> values;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < before.values.size(); ++i) {
    if (hopeless(before.values[i])) continue;
    values.push_back({before.values[i].attribute, before.values[i].text, before.values[i].reject});
    places.push_back(i);
  }
  const auto judged =
      rules_.judge(recipient::Object{key, before.origin, before.kind, before.drop, values});
  auto after = before;
  for (std::size_t i = 0; i < judged.size(); ++i) {
    after.values[places[i]].drop = judged[i].drop;
    after.values[places[i]].rule_line = judged[i].rule_line;
  }
  return after;
}

Result<> Ownership::judge_again(store::SourceId source) {
  // New rules can change every record, and none may be written while they are walked: only the keys
  // are kept, and those records are judged once more.
  std::vector<std::string_view> changed;
  OwnedAddresses owned_before, owned_after;
  const auto visited = transaction_.each_object(source, [&](std::string_view key,
                                                            const store::ObjectRecord& before) {
    const auto after = judged_again(key, before);
    if (after == before) return true;
    changed.push_back(texts_.keep(key));
    owned_by(before, owned_before);
    owned_by(after, owned_after);
    keep(owned_after);
    replace_owners(source, changed.back(), {owned_before, before.kind}, {owned_after, after.kind});
    replace_mentions(source, changed.back(), &before, &after);
    return true;
  });
  if (!visited) return visited;
  for (const auto& key : changed) {
    const auto before = transaction_.object(source, key);
    if (!before) return before.error();
    if (auto put = transaction_.put_object(source, key, judged_again(key, **before)); !put)
      return put;
    wrote_ = true;
  }
  return {};
}

Result<> Ownership::apply_configuration() {
  if (auto erased = erase_all(store::configuration_source); !erased) return erased;
  for (const auto& entry : rules_.entries()) {
    const auto digest = sha256(entry.address);
    const auto key =
        texts_.keep({reinterpret_cast<const char*>(digest.bytes.data()), std::size_t{16}});
    store::ObjectRecord record;
    record.origin = entry.from_always ? "always" : "static";
    record.kind = recipient::ObjectClass::entry;
    record.values.push_back({record.origin, entry.address, entry.address, entry.reject,
                             recipient::Drop::kept, static_cast<std::uint32_t>(entry.line)});
    if (auto put = transaction_.put_object(store::configuration_source, key, record); !put)
      return put;
    add_change(entry.address, store::configuration_source, key, record.kind, entry.reject, false);
    wrote_ = true;
  }
  return {};
}

Result<> Ownership::erase_all(store::SourceId source) {
  std::vector<std::string_view> keys;
  OwnedAddresses owned;
  const auto visited = transaction_.each_object(
      source, [&](std::string_view key, const store::ObjectRecord& record) {
        keys.push_back(texts_.keep(key));
        owned_by(record, owned);
        replace_owners(source, keys.back(), {owned, record.kind}, {{}, record.kind});
        replace_mentions(source, keys.back(), &record, nullptr);
        return true;
      });
  if (!visited) return visited;
  for (const auto& key : keys) {
    if (auto erased = transaction_.erase_object(source, key); !erased) return erased;
    wrote_ = true;
  }
  return {};
}

Result<> Ownership::forget(store::SourceId source) {
  return erase_all(source);
}

/// Carries the changes of one address into the store and into `owners`, who stand there now.
Result<> Ownership::write_owners(std::string_view address,
                                 std::span<const OwnerChange* const> changes,
                                 std::vector<store::OwnerView>& owners) {
  const auto count = [&](int sign) {
    store::SourceId last = store::configuration_source;
    for (const auto& owner : owners)  // sorted by source
      if (owner.source != last) gained_[last = owner.source] += sign;
  };
  count(-1);
  for (const auto* change : changes) {
    const store::OwnerView owner{change->source, change->key(),
                                 static_cast<recipient::ObjectClass>(change->kind),
                                 change->reject()};
    const auto done = change->erase ? transaction_.erase_owner(address, owner.source, owner.key)
                                    : transaction_.put_owner(address, owner);
    if (!done) return done;
    const auto place = std::find_if(owners.begin(), owners.end(), [&](const auto& other) {
      return std::tie(other.source, other.key) >= std::tie(owner.source, owner.key);
    });
    const bool present =
        place != owners.end() && place->source == owner.source && place->key == owner.key;
    if (change->erase && present)
      owners.erase(place);
    else if (!change->erase && present)
      *place = owner;
    else if (!change->erase)
      owners.insert(place, owner);
  }
  count(+1);
  return {};
}

Result<> Ownership::finish(const std::function<Result<>(const Touched&)>& visit) {
  if (auto written = write_mentions(); !written) return written;
  std::vector<SortedText> order;
  order.reserve(changes_.size());
  for (std::size_t i = 0; i < changes_.size(); ++i)
    order.push_back({text_word(changes_[i].address()), static_cast<std::uint32_t>(i)});
  // One owner can be put and erased again by one cycle, and the last word counts.
  sort_texts(
      std::span(order), [this](std::uint32_t place) { return changes_[place].address(); },
      [this](std::uint32_t a, std::uint32_t b) {
        const auto& left = changes_[a];
        const auto& right = changes_[b];
        if (left.source != right.source) return left.source < right.source;
        if (const auto keys = left.key().compare(right.key()); keys != 0) return keys < 0;
        return a < b;
      });

  std::vector<const OwnerChange*> changes;
  std::vector<store::OwnerView> owners;
  for (auto next = order.begin(); next != order.end();) {
    const auto address = changes_[next->place].address();
    changes.clear();
    for (; next != order.end() && changes_[next->place].address() == address; ++next)
      changes.push_back(&changes_[next->place]);
    const auto before = transaction_.owners(address);
    if (!before) return before.error();
    owners.clear();
    for (const auto& owner : *before)
      owners.push_back({owner.source, owner.key, owner.kind, owner.reject});
    if (auto written = write_owners(address, changes, owners); !written) return written;
    Touched touched{.address = address, .owners = owners};
    for (const auto* change : changes)
      (change->configuration != 0 ? touched.configuration : touched.data) = true;
    if (auto visited = visit(touched); !visited) return visited;
  }
  changes_ = {};
  return {};
}

std::int64_t Ownership::recipients_gained(store::SourceId source) const {
  const auto found = gained_.find(source);
  return found == gained_.end() ? 0 : found->second;
}

}  // namespace rcptsync::service

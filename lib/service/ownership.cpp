#include "service/ownership.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace rcptsync::service {
namespace {

constexpr std::size_t stored_hopeless_values = 100;  // of one object; the rest is only counted
constexpr std::size_t stored_hopeless_bytes = 320;   // of one such value
constexpr std::size_t named_dropped_values = 20;     // in one cycle

// A value without canonical form is no address under any rules: it is stored for a person to read,
// not to be judged again.
bool hopeless(const store::StoredValue& value) {
  return value.canonical.empty();
}

store::StoredHash stored(const sync::ObjectHash& hash) {
  return {hash.low, hash.high};
}

void append_judged(store::ObjectRecord& record, recipient::Judged&& judged) {
  store::StoredValue value{std::string(judged.attribute),
                           std::string(judged.text),
                           std::move(judged.canonical),
                           std::string(judged.reject),
                           judged.drop,
                           judged.rule_line};
  if (hopeless(value)) {
    const auto so_far = std::count_if(record.values.begin(), record.values.end(), hopeless);
    if (static_cast<std::size_t>(so_far) >= stored_hopeless_values) {
      ++record.values_not_kept;
      return;
    }
    value.text.resize(std::min(value.text.size(), stored_hopeless_bytes));
  }
  record.values.push_back(std::move(value));
}

store::ObjectRecord make_record(const sync::OwnedObject& object, const recipient::Rules& rules) {
  std::vector<recipient::Value> values;
  values.reserve(object.values.size());
  for (const auto& value : object.values)
    values.push_back({value.attribute, value.text, value.reject});
  const recipient::Object view{object.key, object.origin, object.kind, object.drop, values};

  store::ObjectRecord record{stored(object.hash), object.origin, object.kind, object.drop, {}, 0};
  for (auto& judged : rules.judge(view)) append_judged(record, std::move(judged));
  return record;
}

// address → reject text of what the object owns. If one object names an address twice, acceptance
// wins.
std::map<std::string_view, std::string_view> owned(const store::ObjectRecord* record) {
  std::map<std::string_view, std::string_view> addresses;
  if (record == nullptr) return addresses;
  for (const auto& value : record->values) {
    if (value.drop != recipient::Drop::kept) continue;
    const auto [place, fresh] = addresses.try_emplace(value.canonical, value.reject);
    if (!fresh && value.reject.empty()) place->second = {};
  }
  return addresses;
}

}  // namespace

void Ownership::replace_owners(store::SourceId source, std::string_view key,
                               const store::ObjectRecord* before,
                               const store::ObjectRecord* after) {
  const auto old_addresses = owned(before);
  const auto new_addresses = owned(after);
  for (const auto& [address, reject] : old_addresses) {
    const auto stays = new_addresses.find(address);
    if (stays == new_addresses.end())
      changes_.push_back({std::string(address), source, std::string(key), {}, true});
    if (reject.empty() && (stays == new_addresses.end() || !stays->second.empty())) lost_ = true;
  }
  for (const auto& [address, reject] : new_addresses) {
    const auto was = old_addresses.find(address);
    if (was == old_addresses.end() || was->second != reject)
      changes_.push_back(
          {std::string(address), source, std::string(key), std::string(reject), false});
  }
}

void Ownership::note_dropped(const std::string& source, const store::ObjectRecord& record,
                             const store::ObjectRecord* before) {
  for (const auto& value : record.values) {
    if (!hopeless(value)) continue;
    if (before != nullptr &&
        std::find(before->values.begin(), before->values.end(), value) != before->values.end())
      continue;
    ++dropped_;
    if (sample_.size() < named_dropped_values)
      sample_.push_back({source, record.origin, value.attribute, value.text, value.drop});
  }
  const auto not_kept_before = before != nullptr ? before->values_not_kept : 0;
  if (record.values_not_kept > not_kept_before)
    dropped_ += record.values_not_kept - not_kept_before;
}

Result<> Ownership::apply(store::SourceRecord& source, const sync::ObjectChanges& changes,
                          bool fresh, bool& lost) {
  lost_ = false;
  for (const auto& object : changes.upserts) {
    std::optional<store::ObjectRecord> before;
    if (!fresh) {
      auto found = transaction_.object(source.id, object.key);
      if (!found) return found.error();
      before = std::move(*found);
    }
    const auto after = make_record(object, rules_);
    if (auto put = transaction_.put_object(source.id, object.key, after); !put) return put;
    replace_owners(source.id, object.key, before ? &*before : nullptr, &after);
    note_dropped(source.name, after, before ? &*before : nullptr);
    if (!before) ++source.objects;
    wrote_ = true;
  }
  for (const auto& key : changes.removals) {
    auto before = transaction_.object(source.id, key);
    if (!before) return before.error();
    if (!*before) continue;
    if (auto erased = transaction_.erase_object(source.id, key); !erased) return erased;
    replace_owners(source.id, key, &**before, nullptr);
    --source.objects;
    wrote_ = true;
  }
  lost = lost_;
  return {};
}

Result<> Ownership::judge_again(store::SourceId source) {
  struct Changed {
    std::string key;
    store::ObjectRecord before, after;
  };
  std::vector<Changed> changed;
  const auto visited = transaction_.each_object(
      source, [&](std::string_view key, const store::ObjectRecord& before) {
        std::vector<recipient::Value> values;
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < before.values.size(); ++i) {
          if (hopeless(before.values[i])) continue;
          values.push_back(
              {before.values[i].attribute, before.values[i].text, before.values[i].reject});
          places.push_back(i);
        }
        const auto judged =
            rules_.judge(recipient::Object{key, before.origin, before.kind, before.drop, values});
        auto after = before;
        for (std::size_t i = 0; i < judged.size(); ++i) {
          after.values[places[i]].drop = judged[i].drop;
          after.values[places[i]].rule_line = judged[i].rule_line;
        }
        if (after != before) changed.push_back({std::string(key), before, std::move(after)});
        return true;
      });
  if (!visited) return visited;
  for (const auto& [key, before, after] : changed) {
    if (auto put = transaction_.put_object(source, key, after); !put) return put;
    replace_owners(source, key, &before, &after);
    wrote_ = true;
  }
  return {};
}

Result<> Ownership::apply_configuration() {
  if (auto erased = erase_all(store::configuration_source); !erased) return erased;
  for (const auto& entry : rules_.entries()) {
    const auto digest = sha256(entry.address);
    const std::string key(reinterpret_cast<const char*>(digest.bytes.data()), 16);
    store::ObjectRecord record;
    record.origin = entry.from_always ? "always" : "static";
    record.kind = recipient::ObjectClass::entry;
    record.values.push_back({record.origin, entry.address, entry.address, entry.reject,
                             recipient::Drop::kept, static_cast<std::uint32_t>(entry.line)});
    if (auto put = transaction_.put_object(store::configuration_source, key, record); !put)
      return put;
    changes_.push_back({entry.address, store::configuration_source, key, entry.reject, false});
    wrote_ = true;
  }
  return {};
}

Result<> Ownership::erase_all(store::SourceId source) {
  std::vector<std::string> keys;
  const auto visited = transaction_.each_object(
      source, [&](std::string_view key, const store::ObjectRecord& record) {
        keys.emplace_back(key);
        replace_owners(source, key, &record, nullptr);
        return true;
      });
  if (!visited) return visited;
  for (const auto& key : keys) {
    if (auto erased = transaction_.erase_object(source, key); !erased) return erased;
    wrote_ = true;
  }
  return {};
}

Result<> Ownership::forget(const store::SourceRecord& source) {
  if (auto erased = erase_all(source.id); !erased) return erased;
  wrote_ = true;
  return transaction_.erase_source(source.id);
}

Result<> Ownership::finish(
    const std::function<Result<>(const std::string&, const std::vector<store::Owner>&)>& visit) {
  // Stable: one owner can be put and erased again by one cycle, and the last word counts.
  std::stable_sort(changes_.begin(), changes_.end(),
                   [](const OwnerChange& a, const OwnerChange& b) {
                     if (const auto order = a.address.compare(b.address); order != 0)
                       return order < 0;
                     if (a.source != b.source) return a.source < b.source;
                     return a.key < b.key;
                   });
  for (auto change = changes_.begin(); change != changes_.end();) {
    const auto& address = change->address;
    auto owners = transaction_.owners(address);
    if (!owners) return owners.error();
    const auto count = [&](int sign) {
      store::SourceId last = store::configuration_source;
      for (const auto& owner : *owners)  // sorted by source
        if (owner.source != last) gained_[last = owner.source] += sign;
    };
    count(-1);
    auto next = change;
    for (; next != changes_.end() && next->address == address; ++next) {
      const auto done =
          next->erase ? transaction_.erase_owner(address, next->source, next->key)
                      : transaction_.put_owner(address, {next->source, next->key, next->reject});
      if (!done) return done;
      const auto place =
          std::find_if(owners->begin(), owners->end(), [&](const store::Owner& owner) {
            return std::tie(owner.source, owner.key) >= std::tie(next->source, next->key);
          });
      const bool present =
          place != owners->end() && place->source == next->source && place->key == next->key;
      if (next->erase && present)
        owners->erase(place);
      else if (!next->erase && present)
        place->reject = next->reject;
      else if (!next->erase)
        owners->insert(place, {next->source, next->key, next->reject});
    }
    count(+1);
    if (auto visited = visit(address, *owners); !visited) return visited;
    change = next;
  }
  changes_.clear();
  return {};
}

std::int64_t Ownership::recipients_gained(store::SourceId source) const {
  const auto found = gained_.find(source);
  return found == gained_.end() ? 0 : found->second;
}

Result<> Ownership::collect(store::SourceId source, std::vector<std::string>& addresses) {
  return transaction_.each_object(source, [&](std::string_view, const store::ObjectRecord& record) {
    for (const auto& [address, reject] : owned(&record)) addresses.emplace_back(address);
    return true;
  });
}

}  // namespace rcptsync::service

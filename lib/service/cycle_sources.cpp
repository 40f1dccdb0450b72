#include "service/cycle_sources.hpp"

#include <algorithm>
#include <utility>

namespace rcptsync::service {
namespace {

// What was read under other settings says nothing of a source that comes back under the same name.
// Its rows stay its own until they are gone, so that the guard can count them.
store::SourceRecord without_content(const store::SourceRecord& record) {
  store::SourceRecord empty;
  empty.id = record.id;
  empty.name = record.name;
  empty.type = record.type;
  empty.accepted = record.accepted;
  empty.recipients = record.recipients;
  empty.removed = true;
  return empty;
}

}  // namespace

Result<> CycleSources::take(const store::Meta& meta) {
  auto stored = transaction_.sources();
  if (!stored) return stored.error();
  stored_ = std::move(*stored);

  const bool rules_changed = meta.rules != input_.rules->fingerprint();
  if (rules_changed)
    if (auto done = ownership_.apply_configuration(); !done) return done;
  for (const auto& source : input_.sources)
    if (auto done = take_source(source, rules_changed, meta.generation == 0); !done) return done;
  for (const auto& record : stored_) {
    const bool configured =
        std::any_of(input_.sources.begin(), input_.sources.end(),
                    [&](const SourceInput& source) { return source.name == record.name; });
    if (configured) continue;
    if (record.objects > 0)
      if (auto done = ownership_.forget(record.id); !done) return done;
    records_.push_back(without_content(record));
  }
  return {};
}

Result<> CycleSources::take_source(const SourceInput& input, bool rules_changed, bool first) {
  auto record = record_of(input);
  if (rules_changed && record.objects > 0)
    if (auto done = ownership_.judge_again(record.id); !done) return done;
  if (input.healthy && input.changes != nullptr) {
    const bool other_settings = record.settings != Digest{} && record.settings != input.settings;
    const bool configuration = !first && (!record.read_completely || other_settings);
    if (auto done = take_read(record, input, configuration); !done) return done;
  }
  if (!record.read_completely)
    unread_.push_back(input.name);
  else if (!input.healthy)
    unhealthy_.push_back(input.name);
  if (record.unconfirmed && input.behind.empty())
    unconfirmed_.push_back(input.name);
  else if (record.unconfirmed)
    behind_.push_back({input.name, input.behind});
  records_.push_back(std::move(record));
  return {};
}

// A server that lags does not know yet what the one before it knew. Either it says so, or the next
// full read shows whether it still lacks the same. That may be of another server again: two that
// lack the same are two witnesses, and where servers alternate there is no other second look.
Result<> CycleSources::take_read(store::SourceRecord& record, const SourceInput& input,
                                 bool configuration) {
  bool lost = false;
  if (auto done = ownership_.apply(record, *input.changes, configuration, lost); !done) return done;
  const bool moved = !record.server.empty() && record.server != input.server;
  if (!input.behind.empty() || (moved && lost))
    record.unconfirmed = true;
  else if (input.full)
    record.unconfirmed = false;
  record.read_completely = true;
  record.server = input.server;
  record.settings = input.settings;
  // Of a read that changed nothing only the first cookie is kept here: the others would write the
  // state with every poll.
  if (!input.changes->empty() || record.cookie.empty()) record.cookie = input.cookie;
  return {};
}

const store::SourceRecord* CycleSources::stored(std::string_view name) const {
  const auto found = std::find_if(stored_.begin(), stored_.end(),
                                  [&](const auto& record) { return record.name == name; });
  return found == stored_.end() ? nullptr : &*found;
}

store::SourceRecord CycleSources::record_of(const SourceInput& input) const {
  store::SourceRecord record;
  if (const auto* known = stored(input.name); known != nullptr) {
    record = *known;
    record.removed = false;
  } else {
    for (const auto& other : stored_) record.id = std::max(record.id, other.id);
    for (const auto& other : records_) record.id = std::max(record.id, other.id);
    ++record.id;  // the configuration allows 1000 sources; ids of forgotten ones come free again
    record.name = input.name;
  }
  record.type = input.type;
  return record;
}

void CycleSources::show(sync::GuardInput& guard) const {
  guard.unread_sources = unread_;
  guard.unhealthy_sources = unhealthy_;
  guard.unconfirmed_sources = unconfirmed_;
  guard.behind_sources = behind_;
}

const store::SourceRecord* CycleSources::find(store::SourceId id) const {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](const auto& record) { return record.id == id; });
  return found == records_.end() ? nullptr : &*found;
}

Result<> CycleSources::close(const std::map<store::SourceId, std::int64_t>& accepted,
                             bool any_in_grace) {
  for (auto& record : records_) {
    record.recipients += static_cast<std::uint64_t>(ownership_.recipients_gained(record.id));
    if (const auto delta = accepted.find(record.id); delta != accepted.end())
      record.accepted += static_cast<std::uint64_t>(delta->second);
    if (record.removed && record.accepted == 0 && !any_in_grace) {
      wrote_ = true;
      if (auto erased = transaction_.erase_source(record.id); !erased) return erased;
      continue;
    }
    if (const auto* before = stored(record.name); before != nullptr && *before == record) continue;
    wrote_ = true;
    if (auto put = transaction_.put_source(record); !put) return put;
  }
  return {};
}

std::vector<SourceState> CycleSources::states() const {
  std::vector<SourceState> states;
  for (std::size_t i = 0; i < input_.sources.size(); ++i) {
    const auto& record = records_[i];
    states.push_back({record.name, record.id, record.cookie, record.unconfirmed});
  }
  return states;
}

}  // namespace rcptsync::service

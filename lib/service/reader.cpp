#include "service/reader.hpp"

#include <cstring>

#include "base/digest.hpp"
#include "recipient/rules.hpp"
#include "service/audit.hpp"
#include "source/settings.hpp"

namespace rcptsync::service {
namespace {

/// Counts what goes by, for a person who waits for a long read.
class Counting final : public recipient::ObjectSink {
 public:
  Counting(recipient::ObjectSink& sink, std::atomic<std::uint64_t>& count)
      : sink_(sink), count_(count) {
    count_ = 0;
  }
  void upsert(const recipient::Object& object) override {
    count_.fetch_add(1, std::memory_order_relaxed);
    sink_.upsert(object);
  }
  bool present(std::string_view key) override {
    count_.fetch_add(1, std::memory_order_relaxed);
    return sink_.present(key);
  }
  void remove(std::string_view key) override { sink_.remove(key); }
  void restart() override {
    count_ = 0;
    sink_.restart();
  }

 private:
  recipient::ObjectSink& sink_;
  std::atomic<std::uint64_t>& count_;
};

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(const config::Config& config, store::Store& store,
                                             const NewerCookies& cookies, const MakeSource& make) {
  std::unique_ptr<Reader> reader;
  const auto loaded = store.read([&](store::View& view) -> Result<> {
    const auto meta = view.meta();
    if (!meta) return meta.error();
    const auto records = view.sources();
    if (!records) return records.error();
    // With another grammar every object counts as changed once, and its values are judged from
    // their full text.
    const auto grammar = sha256(recipient::grammar()).bytes;
    std::uint64_t mixed = 0;
    std::memcpy(&mixed, grammar.data(), sizeof mixed);
    reader.reset(new Reader(meta->hash_seed ^ mixed));
    for (const auto& settings : config.sources) {
      Entry entry;
      entry.known = sync::KnownObjects(meta->hash_seed);
      entry.settings = settings;
      if (auto made = make(settings); made)
        entry.source = std::shared_ptr<source::Source>(std::move(*made));
      else
        entry.source = made.error();
      for (const auto& record : *records) {
        if (record.name != settings.name) continue;
        entry.id = record.id;
        entry.server = record.server;
        entry.stored_cookie = record.cookie;
        entry.cookie = latest_cookie(cookies, settings.name, record.cookie);
        entry.unconfirmed = record.unconfirmed;
        entry.known.reserve(record.objects);
        const auto visited =
            view.each_hash(record.id, [&](std::string_view key, const store::StoredHash& hash) {
              entry.known.put(key, {hash.low, hash.high});
              return true;
            });
        if (!visited) return visited;
      }
      reader->sources_.push_back(std::move(entry));
    }
    return {};
  });
  if (!loaded) return loaded.error();
  return reader;
}

std::shared_ptr<source::Source> Reader::made(std::size_t index) const {
  const auto& source = sources_[index].source;
  return source ? *source : nullptr;
}

source::WatchRequest Reader::watch_request(std::size_t index) const {
  return {sources_[index].cookie, sources_[index].server, {}};
}

SourceRead Reader::read(std::size_t index, const ReadOrder& order, const std::stop_token& stop) {
  const auto& entry = sources_[index];
  SourceRead result;
  if (!entry.source) {
    result.verdict = entry.source.error();
    return result;
  }
  sync::ReadSession session(entry.known, hasher_);
  Counting counting(session, *entry.so_far);
  result.verdict = (*entry.source)->read({order.kind, entry.cookie, entry.server}, counting, stop);
  if (!result.verdict) return result;
  result.changes = session.finish(result.verdict->unseen_gone);
  if (order.audit) audit(entry, result, stop);
  return result;
}

// Another server may differ by itself, and a source without a usable cookie reads in full again:
// neither says anything about increments.
void Reader::audit(const Entry& entry, SourceRead& read, const std::stop_token& stop) const {
  const auto& full = *read.verdict;
  if (full.kind != source::ReadKind::full || full.server != entry.server || !full.behind.empty() ||
      entry.cookie.empty() || read.changes.empty())
    return;
  Audit audit(entry.known, read.changes);
  const auto again =
      (*entry.source)
          ->read({source::ReadKind::incremental, entry.cookie, entry.server}, audit, stop);
  if (again && again->kind == source::ReadKind::incremental && again->server == entry.server)
    read.missed = audit.missed(again->unseen_gone, full.deletions_unseen);
}

SourceInput Reader::input(std::size_t index, const SourceRead* read) const {
  const auto& entry = sources_[index];
  SourceInput input;
  input.name = entry.settings.name;
  input.type = config::to_string(entry.settings.type);
  input.settings = source::settings_fingerprint(entry.settings);
  input.healthy = read != nullptr ? read->verdict.has_value() : !entry.failed;
  input.behind = entry.behind;
  if (read != nullptr && read->verdict) {
    input.changes = &read->changes;
    input.server = read->verdict->server;
    input.cookie = read->verdict->cookie;
    input.full = read->verdict->kind == source::ReadKind::full;
    input.behind = read->verdict->behind;
  }
  return input;
}

std::vector<std::string> Reader::new_warnings(std::size_t index, const SourceRead& read) {
  auto& told = sources_[index].warnings;
  const auto& warnings = read.verdict->warnings;
  std::vector<std::string> fresh;
  for (const auto& warning : warnings)
    if (!told.contains(warning)) fresh.push_back(warning);
  told = {warnings.begin(), warnings.end()};
  return fresh;
}

void Reader::committed(std::size_t index, const SourceRead& read, const SourceState& state) {
  auto& entry = sources_[index];
  const auto& upserts = read.changes.upserts;
  if (entry.known.size() == 0) entry.known.reserve(upserts.size());
  for (std::size_t i = 0; i < upserts.size(); ++i) entry.known.put(upserts.key(i), upserts.hash(i));
  for (const auto& key : read.changes.removals) entry.known.erase(key);
  entry.server = read.verdict->server;
  entry.cookie = read.verdict->cookie;
  entry.behind = read.verdict->behind;
  entry.failed = false;
  entry.id = state.id;
  entry.stored_cookie = state.cookie;
  entry.unconfirmed = state.unconfirmed;
}

NewerCookies Reader::newer_cookies() const {
  NewerCookies cookies;
  for (const auto& entry : sources_)
    if (!entry.stored_cookie.empty() && !entry.cookie.empty() &&
        entry.cookie != entry.stored_cookie)
      cookies[entry.settings.name] = {entry.cookie, sha256(entry.stored_cookie)};
  return cookies;
}

}  // namespace rcptsync::service

#include "service/reader.hpp"

#include <cstring>

#include "base/digest.hpp"
#include "recipient/rules.hpp"

namespace rcptsync::service {

Result<std::unique_ptr<Reader>> Reader::open(const config::Config& config, store::Store& store) {
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
      entry.source = source::create_source(settings);
      for (const auto& record : *records) {
        if (record.name != settings.name) continue;
        entry.server = record.server;
        entry.cookie = record.cookie;
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

SourceRead Reader::read(std::size_t index, source::ReadKind kind, std::stop_token stop) {
  auto& entry = sources_[index];
  SourceRead result;
  if (!entry.source) {
    result.verdict = entry.source.error();
    return result;
  }
  sync::ReadSession session(entry.known, hasher_);
  result.verdict =
      (*entry.source)->read({kind, entry.cookie, entry.server}, session, std::move(stop));
  if (result.verdict)
    result.changes = session.finish(result.verdict->unseen_gone);
  return result;
}

void Reader::committed(std::size_t index, const SourceRead& read) {
  auto& entry = sources_[index];
  const auto& upserts = read.changes.upserts;
  if (entry.known.size() == 0) entry.known.reserve(upserts.size());
  for (std::size_t i = 0; i < upserts.size(); ++i) entry.known.put(upserts.key(i), upserts.hash(i));
  for (const auto& key : read.changes.removals) entry.known.erase(key);
  entry.server = read.verdict->server;
  entry.cookie = read.verdict->cookie;
}

}  // namespace rcptsync::service

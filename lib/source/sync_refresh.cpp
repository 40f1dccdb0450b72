#include "source/sync_refresh.hpp"
#include "base/plural.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rcptsync::source {
namespace {

// More than this is read faster in full.
constexpr std::size_t max_gone = 2'000'000;
constexpr std::size_t max_unknown = 500'000;

SyncRefresh::Key key_of(std::string_view uuid) {
  SyncRefresh::Key key{};
  std::copy_n(uuid.begin(), std::min(uuid.size(), key.size()), key.begin());
  return key;
}

Error doubt(std::string message) {
  return {Errc::foreign, std::move(message)};
}

}  // namespace

void SyncRefresh::begin() {
  unknown_.clear();
  presents_ = false;
  deletes_ = false;
}

void SyncRefresh::sent(std::string_view uuid) {
  const auto key = key_of(uuid);
  unknown_.erase(key);
  there_.insert(key);
}

Result<> SyncRefresh::present(std::string_view uuid, bool known) {
  presents_ = true;
  const auto key = key_of(uuid);
  if (known || there_.contains(key)) return {};
  unknown_.insert(key);
  if (unknown_.size() > max_unknown)
    return doubt(fmt::format("more than {} entries are new since the last read", max_unknown));
  return {};
}

Result<> SyncRefresh::gone(std::string_view uuid) {
  deletes_ = true;
  const auto key = key_of(uuid);
  gone_.insert(key);
  if (gone_.size() > max_gone)
    return doubt(fmt::format("more than {} entries are gone since the last read", max_gone));
  return {};
}

Result<> SyncRefresh::end(bool deletes) {
  if (presents_ && deletes_)
    return doubt("the server names entries that are gone and entries that are unchanged");
  if (deletes ? presents_ : deletes_)
    return doubt("the server contradicts itself about how it told what is gone");
  if (!unknown_.empty())
    return doubt(fmt::format(
        "the server takes {} for known that {} not; an entry that came in while "
        "it was read, or below another one that moved, is one cause",
        counted(unknown_.size(), "entry", "entries"), plural(unknown_.size(), "is", "are")));
  const auto phase = deletes ? Phase::remove : Phase::present;
  if (phase_ != Phase::unknown && phase_ != phase)
    return doubt("the server named all entries of one base and only the changed ones of another");
  phase_ = phase;
  return {};
}

std::vector<SyncRefresh::Key> SyncRefresh::removals() const {
  std::vector<Key> keys;
  for (const auto& key : gone_)
    if (!there_.contains(key)) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace rcptsync::source

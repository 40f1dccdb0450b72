#include "source/findings.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/digest.hpp"
#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"

namespace rcptsync::source {
namespace {

constexpr std::size_t chunk_size = 1 << 20;
constexpr std::size_t max_key = 128;
constexpr std::size_t named_warnings = 20;

}  // namespace

std::string_view Findings::keep(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (chunks_.empty() || chunks_.back().capacity() - chunks_.back().size() < bytes.size())
    chunks_.emplace_back().reserve(std::max(chunk_size, bytes.size()));
  auto& chunk = chunks_.back();
  const auto at = chunk.size();
  chunk.append(bytes);  // within its capacity: nothing moves
  return std::string_view(chunk).substr(at);
}

bool Findings::add(const FoundValue& value) {
  auto kept = value;
  kept.key = value.key.size() <= max_key ? keep(value.key) : keep(sha256(value.key).hex());
  kept.text = keep(value.text);
  kept.reject = keep(value.reject);
  found_.push_back(kept);
  const bool address =
      recipient::parse_address(recipient::without_prefix(value.text)).drop == recipient::Drop::kept;
  addresses_ += address;
  return address;
}

void Findings::warn(std::uint32_t line, std::string_view what) {
  if (warnings_.size() < named_warnings)
    warnings_.push_back(fmt::format("{}: {}", line, what));
  else
    ++more_warnings_;
}

Result<> Findings::plausible(bool may_be_empty) const {
  if (values() > 0 && addresses() == 0)
    return Error{Errc::damaged,
                 fmt::format("of {} in it not one is an e-mail address; see format in "
                             "rcptsync.yaml(5)",
                             counted(values(), "value"))};
  if (values() == 0 && !may_be_empty)
    return Error{Errc::damaged,
                 "there is no address in it; if it may be empty, write allow_empty: true"};
  return {};
}

std::uint64_t Findings::tell(std::string_view file, recipient::ObjectSink& sink) {
  std::stable_sort(found_.begin(), found_.end(),
                   [](const FoundValue& a, const FoundValue& b) { return a.key < b.key; });
  std::uint64_t objects = 0;
  std::vector<recipient::Value> values;
  for (auto first = found_.begin(); first != found_.end(); ++objects) {
    values.clear();
    auto last = first;
    std::set<std::tuple<std::string_view, std::string_view, std::string_view>> told;
    for (; last != found_.end() && last->key == first->key; ++last)
      if (told.emplace(last->attribute, last->text, last->reject).second)
        values.push_back({last->attribute, last->text, last->reject});
    const auto origin = fmt::format("{}:{}", file, first->line);
    sink.upsert({first->key, origin, first->kind, recipient::Drop::kept, values});
    first = last;
  }
  return objects;
}

std::vector<std::string> Findings::warnings(std::string_view file) const {
  std::vector<std::string> all;
  for (const auto& warning : warnings_) all.push_back(fmt::format("{}:{}", file, warning));
  if (more_warnings_ > 0)
    all.push_back(fmt::format("{}: {} more like these", file, more_warnings_));
  return all;
}

std::string folded_key(std::string_view prefix, std::string_view text) {
  return std::string(prefix) + ascii_lower(text);
}

}  // namespace rcptsync::source

#include "store/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/arena.hpp"

namespace rcptsync::store {
namespace {

Error not_kept(std::uint64_t generation) {
  return {Errc::not_found, fmt::format("generation {} is not kept", generation)};
}

/// The changes of the generations after `from` up to `to`, by address and then by age.
class Changes {
 public:
  Result<> collect(View& view, std::uint64_t from, std::uint64_t to) {
    for (auto number = from; number <= to; ++number) {
      const auto generation = view.generation(number);
      if (!generation) return generation.error();
      if (!*generation) return not_kept(number);
      if (number == from) continue;
      const auto visited = view.each_change(number, [&](const Change& change) {
        all_.push_back({change.operation, texts_.keep(change.address), keep_text(change.reject),
                        keep_text(change.before), change.source, change.kind});
        return true;
      });
      if (!visited) return visited;
    }
    // Those of one generation are sorted already.
    if (to > from + 1)
      std::stable_sort(all_.begin(), all_.end(), [](const ChangeView& a, const ChangeView& b) {
        return a.address < b.address;
      });
    return {};
  }

  /// The changes of the next address, oldest first; empty: that was all.
  std::span<const ChangeView> next() {
    const auto begin = next_;
    while (next_ < all_.size() && all_[next_].address == all_[begin].address) ++next_;
    return {all_.data() + begin, next_ - begin};
  }

 private:
  // Few texts are used for many addresses.
  std::string_view keep_text(std::string_view text) {
    if (text.empty()) return {};
    if (text != last_text_) last_text_ = texts_.keep(text);
    return last_text_;
  }

  Arena texts_;
  std::string_view last_text_;
  std::vector<ChangeView> all_;
  std::size_t next_ = 0;
};

/// A row, or that there is none.
struct State {
  bool listed = false;
  std::string_view reject;
  bool operator==(const State&) const = default;
};

State before(const ChangeView& change) {
  if (change.operation == Operation::added) return {};
  return {true, change.before};
}

State after(const ChangeView& change) {
  if (change.operation == Operation::removed) return {};
  return {true, change.reject};
}

}  // namespace

Result<> each_row_of(View& view, std::uint64_t generation,
                     const std::function<bool(std::string_view, std::string_view)>& visit) {
  const auto meta = view.meta();
  if (!meta) return meta.error();
  if (generation == 0 || generation > meta->generation) return not_kept(generation);
  Changes changes;
  if (auto collected = changes.collect(view, generation, meta->generation); !collected)
    return collected;

  // What the oldest of the later changes of an address found is what its row was.
  auto undo = changes.next();
  bool stopped = false;
  const auto put_back = [&](const ChangeView& change) {
    const auto was = before(change);
    stopped = was.listed && !visit(change.address, was.reject);
    undo = changes.next();
  };
  const auto walked =
      view.each_recipient([&](std::string_view address, const RecipientRecord& record) {
        while (!stopped && !undo.empty() && undo.front().address < address) put_back(undo.front());
        if (stopped) return false;
        if (!undo.empty() && undo.front().address == address)
          put_back(undo.front());
        else
          stopped = !visit(address, record.reject);
        return !stopped;
      });
  if (!walked) return walked;
  while (!stopped && !undo.empty()) put_back(undo.front());
  return {};
}

Result<std::vector<Change>> net_changes(View& view, std::uint64_t from, std::uint64_t to) {
  Changes changes;
  if (auto collected = changes.collect(view, std::min(from, to), std::max(from, to)); !collected)
    return collected.error();
  std::vector<Change> net;
  for (auto all = changes.next(); !all.empty(); all = changes.next()) {
    auto was = before(all.front());
    auto is = after(all.back());
    if (from > to) std::swap(was, is);
    if (was == is) continue;
    const auto& nearest = from > to ? all.front() : all.back();
    net.push_back({!was.listed  ? Operation::added
                   : !is.listed ? Operation::removed
                                : Operation::changed,
                   std::string(nearest.address), std::string(is.reject), std::string(was.reject),
                   nearest.source, nearest.kind});
  }
  return net;
}

}  // namespace rcptsync::store

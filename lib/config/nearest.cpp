#include "config/nearest.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace rcptsync::config {
namespace {

constexpr std::size_t max_word = 40;
using Row = std::array<std::size_t, max_word + 1>;

// Optimal string alignment distance; both words at most max_word long.
std::size_t distance(std::string_view a, std::string_view b) {
  Row before{}, last{}, row{};
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view written, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t best_distance = max_word;
  if (written.size() > max_word) return best;
  for (const auto word : known) {
    if (word.size() > max_word) continue;
    const auto changes = distance(written, word);
    if (changes < best_distance && changes * 3 <= std::max<std::size_t>(word.size(), 3)) {
      best = word;
      best_distance = changes;
    }
  }
  return best;
}

std::string either(std::span<const std::string_view> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace rcptsync::config

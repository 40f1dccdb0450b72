#include "service/history.hpp"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>

#include "service/target_tables.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

// As many digits of the digest as there is room for.
constexpr std::size_t long_digest = 12, short_digest = 8;

// `2026-03-01 12:00`
std::string minute(WallTime time) {
  auto text = rfc3339(time).substr(0, 16);
  text[10] = ' ';
  return text;
}

std::string table(const std::vector<store::Generation>& generations, const Terminal& terminal,
                  std::size_t digits) {
  using Align = Columns::Align;
  Columns columns({Align::right, Align::left, Align::right, Align::right, Align::right,
                   Align::right, Align::left, Align::left},
                  1);
  columns.add({"GEN", "TIME (UTC)", "ADDED", "REMOVED", "CHANGED", "TOTAL", "DIGEST", "CAUSE"});
  for (const auto& generation : generations) {
    const auto count = [](std::uint64_t number, auto paint) {
      return number == 0 ? std::string("0") : paint(std::to_string(number));
    };
    columns.add({std::to_string(generation.number), minute(generation.time),
                 count(generation.added, [&](const auto& text) { return terminal.green(text); }),
                 count(generation.removed, [&](const auto& text) { return terminal.red(text); }),
                 count(generation.changed, [&](const auto& text) { return terminal.yellow(text); }),
                 std::to_string(generation.total), generation.digest.hex().substr(0, digits),
                 std::string(store::to_string(generation.cause))});
  }
  return columns.text(terminal.width);
}

bool fits(std::string_view text, std::size_t width) {
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    if (columns_of(line) > width) return false;
    text.remove_prefix(line.size() + 1);
  }
  return true;
}

}  // namespace

Result<std::vector<store::Generation>> gather_history(store::View& view, std::size_t limit) {
  auto generations = view.generations(limit == 0 ? std::numeric_limits<std::size_t>::max() : limit);
  if (!generations) return generations.error();
  // Only the newest one's can be unknown.
  if (!generations->empty()) {
    const auto digest = digest_of(view, generations->front());
    if (!digest) return digest.error();
    generations->front().digest = *digest;
  }
  return generations;
}

void print_history_text(std::ostream& out, const std::vector<store::Generation>& generations,
                        const Terminal& terminal) {
  auto text = table(generations, terminal, long_digest);
  if (!fits(text, terminal.width)) text = table(generations, terminal, short_digest);
  out << text;
}

void print_history_json(std::ostream& out, const std::vector<store::Generation>& generations) {
  json document = {{"generations", json::array()}};
  for (const auto& generation : generations)
    document["generations"].push_back({{"generation", generation.number},
                                       {"time", rfc3339(generation.time)},
                                       {"added", generation.added},
                                       {"removed", generation.removed},
                                       {"changed", generation.changed},
                                       {"total", generation.total},
                                       {"digest", generation.digest.hex()},
                                       {"cause", store::to_string(generation.cause)}});
  out << document.dump(2) << '\n';
}

}  // namespace rcptsync::service

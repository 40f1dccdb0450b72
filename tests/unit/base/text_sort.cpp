#include "base/text_sort.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/arena.hpp"
#include "base/random.hpp"
#include "catch.hpp"

using namespace rcptsync;

namespace {

std::vector<std::string> sorted(const std::vector<std::string>& texts) {
  std::vector<SortedText> order;
  for (std::uint32_t i = 0; i < texts.size(); ++i) order.push_back({text_word(texts[i]), i});
  std::vector<std::uint32_t> places;
  sort_texts(
      std::span(order), [&](std::uint32_t place) { return std::string_view(texts[place]); },
      [](std::uint32_t a, std::uint32_t b) { return a < b; });
  std::vector<std::string> result;
  for (std::size_t i = 0; i < order.size(); ++i) {
    result.push_back(texts[order[i].place]);
    // Equal texts stay in the order that less() gives.
    if (i > 0 && result[i] == result[i - 1]) CHECK(order[i - 1].place < order[i].place);
  }
  return result;
}

}  // namespace

TEST_CASE("texts are sorted as std::sort does, also with long common beginnings and zeros") {
  const auto seed = GENERATE(range(1, 30));
  CAPTURE(seed);
  SeededRandom random(static_cast<std::uint64_t>(seed));
  std::vector<std::string> texts;
  const auto count = random.next() % 2000;
  // Few different bytes: most texts begin like many others, and some are others' beginnings.
  constexpr std::string_view bytes("a\0\xff", 3);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string text(random.next() % 4 * 6, 'x');
    for (auto length = random.next() % 20; length > 0; --length)
      text += bytes[random.next() % bytes.size()];
    texts.push_back(std::move(text));
  }
  auto expected = texts;
  std::sort(expected.begin(), expected.end());
  CHECK(sorted(texts) == expected);
}

TEST_CASE("an arena keeps texts of any length where they are") {
  Arena arena;
  std::vector<std::pair<std::string, std::string_view>> kept;
  for (std::size_t length = 0; length < 3000; length += 7) {
    std::string text(length, static_cast<char>('a' + length % 26));
    const auto view = arena.keep(text);
    kept.emplace_back(std::move(text), view);
  }
  const auto large = arena.keep(std::string(1 << 20, 'z'));
  const Arena moved = std::move(arena);
  for (const auto& [text, view] : kept) CHECK(text == view);
  CHECK(large == std::string(1 << 20, 'z'));
  CHECK(moved.memory() < 8'000'000);
}

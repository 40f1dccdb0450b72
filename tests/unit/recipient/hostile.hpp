// hostile — addresses as somebody would write them who wants to break a table, from a seed.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/random.hpp"

namespace rcptsync::test {

/// Any text from pieces that mean something to a grammar, a table or a terminal.
inline std::string hostile_text(Random& random, unsigned max_pieces) {
  static constexpr std::array<std::string_view, 64> pieces = {"a",
                                                              "B",
                                                              "john",
                                                              "Z9",
                                                              ".",
                                                              "..",
                                                              "@",
                                                              "\"",
                                                              "\\",
                                                              " ",
                                                              "#",
                                                              "-",
                                                              "_",
                                                              ":",
                                                              ";",
                                                              ",",
                                                              "<",
                                                              ">",
                                                              "(",
                                                              "[",
                                                              "]",
                                                              "{",
                                                              "%",
                                                              "!",
                                                              "/",
                                                              "|",
                                                              "*",
                                                              "=",
                                                              "\t",
                                                              "\n",
                                                              "\r",
                                                              "\x7f",
                                                              "\x01",
                                                              "\xff",
                                                              "\xc3",
                                                              "\x80",
                                                              "ü",
                                                              "Ü",
                                                              "u\u0308",
                                                              "ß",
                                                              "ẞ",
                                                              "ς",
                                                              "Σ",
                                                              "İ",
                                                              "ı",
                                                              "ﬀ",
                                                              "\u0345",
                                                              "\u0338",
                                                              "\u037e",
                                                              "\u00a0",
                                                              "\u200d",
                                                              "\u202e",
                                                              "\u2028",
                                                              "\ufeff",
                                                              "\ufdd0",
                                                              "\uff20",
                                                              "\u3002",
                                                              "用户",
                                                              "\U0001f600",
                                                              "xn--",
                                                              "xn--mller-kva",
                                                              "example.org",
                                                              "\"@",
                                                              "smtp:"};
  std::string text;
  const auto count = random.next() % (max_pieces + 1);
  for (std::uint64_t i = 0; i < count; ++i) text += pieces[random.next() % pieces.size()];
  if (random.next() % 16 == 0) text += std::string(random.next() % 300, 'x');
  if (random.next() % 64 == 0) text += '\0';
  return text;
}

/// Mostly shaped like an address, so that it often passes.
inline std::string hostile_address(Random& random) {
  static constexpr std::array<std::string_view, 10> domains = {
      "example.org",    "Example.NET",     "müller.example", "xn--mller-kva.example",
      "straße.example", "strasse.example", "βόλος.example",  "βόλοσ.example",
      "my_host.corp",   "例え。テスト"};
  switch (random.next() % 8) {
    case 0:
      return hostile_text(random, 12);
    case 1:
      return hostile_text(random, 4) + "@" + hostile_text(random, 4);
    case 2:
    case 3: {
      std::string quoted = "\"";
      for (const char c : hostile_text(random, 5)) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
      }
      return quoted + "\"@" + std::string(domains[random.next() % domains.size()]);
    }
    default:
      return hostile_text(random, 3) + "@" + std::string(domains[random.next() % domains.size()]);
  }
}

}  // namespace rcptsync::test

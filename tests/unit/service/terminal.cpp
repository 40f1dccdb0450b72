#include "service/terminal.hpp"

#include "catch.hpp"

using namespace rcptsync::service;
using Align = Columns::Align;

TEST_CASE("a line is as wide as its characters") {
  CHECK(columns_of("") == 0);
  CHECK(columns_of("müller@bücher.test") == 18);
  CHECK(columns_of("\x1b[31m15\x1b[0m") == 2);
}

TEST_CASE("text is broken at spaces, and a long word stays whole") {
  Terminal terminal;
  terminal.width = 12;
  CHECK(terminal.wrapped("one two three four", 2) == "  one two\n  three four\n");
  CHECK(terminal.wrapped("a 0123456789abcdef b", 2) == "  a\n  0123456789abcdef\n  b\n");
  CHECK(terminal.wrapped("", 2).empty());
}

TEST_CASE("columns are as wide as they have to be") {
  Columns columns({Align::left, Align::right});
  columns.add({"NAME", "COUNT"});
  columns.add({"a", "7"});
  columns.note("  below\n");
  columns.add({"a-name-that-is-too-long", "12345678"});
  CHECK(columns.text(16) ==
        "NAME     COUNT\n"
        "a            7\n"
        "  below\n"
        "a-name-that-is-too-long\n"
        "      12345678\n");
}

TEST_CASE("colours only where they are asked for") {
  CHECK(Terminal().red("x") == "x");
  CHECK(Terminal{80, true}.red("x") == "\x1b[31mx\x1b[0m");
}

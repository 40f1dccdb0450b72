#include "base/escape.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace std::string_literals;

TEST_CASE("escape leaves what a person can read") {
  CHECK(escape("John Doe <a@example.com>") == "John Doe <a@example.com>");
  CHECK(escape("Jürgen 日本 🙂") == "Jürgen 日本 🙂");
}

TEST_CASE("escape disarms what would write another line or move the cursor") {
  CHECK(escape("a\nb\tc\\d") == "a\\nb\\tc\\\\d");
  CHECK(escape("\x1b[31m\x07\x7f\0"s) == "\\x1b[31m\\x07\\x7f\\x00");
  CHECK(escape("a\xe2\x80\xae"
               "b") ==
        "a\\xe2\\x80\\xae"
        "b");                                          // RIGHT-TO-LEFT OVERRIDE
  CHECK(escape("\xc2\x85") == "\\xc2\\x85");           // NEL, a C1 control
  CHECK(escape("\xe2\x80\xa8") == "\\xe2\\x80\\xa8");  // LINE SEPARATOR
}

TEST_CASE("escape shows bytes that are no UTF-8") {
  CHECK(escape("\xff\xc0\xaf") == "\\xff\\xc0\\xaf");
  CHECK(escape("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(escape("a\xc3") == "a\\xc3");
}

TEST_CASE("escape says how much it left out") {
  CHECK(escape(std::string(300, 'x'), 3) == "xxx…(300 bytes)");
}

TEST_CASE("is_utf8 follows RFC 3629") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("ü\xf4\x8f\xbf\xbf"));
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));  // above U+10FFFF
  CHECK_FALSE(is_utf8("\xc0\x80"));          // overlong
  CHECK_FALSE(is_utf8("\xe0\x80\x80"));
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));
  CHECK_FALSE(is_utf8("\xe2\x82"));
}

TEST_CASE("ASCII folding touches nothing else") {
  CHECK(ascii_lower("ÄbC@[`{") == "Äbc@[`{");
  CHECK(ascii_equal("SMTP", "smtp"));
  CHECK_FALSE(ascii_equal("SMTP", "smtp:"));
}

#include "config/mailbox.hpp"

#include <string>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::config;

TEST_CASE("addresses") {
  for (const std::string text :
       {"a@b", "ceo@example.com", "o'hara+x@example.com", "jürgen@müller.example",
        "\"a b\"@example.com", R"("a\"@b"@example.com)", "#x@example.com"}) {
    CAPTURE(text);
    CHECK(check_address(text));
  }
  for (const std::string text :
       {"",      "@",        "a@",        "@b",    "a",     "a b@c", "a@b@c",  ".a@b",
        "a.@b",  "a..b@c",   "a@b.",      "a@-b",  "a@b-",  "a@.b",  "a@b..c", "a@[192.0.2.1]",
        "\"a@b", "\"a\"b@c", "\"a\\\"@b", "a@b c", "a@b_c", "a\t@b", "a@*.b"}) {
    CAPTURE(text);
    CHECK_FALSE(check_address(text));
  }
  CHECK_FALSE(check_address(std::string(65, 'a') + "@b"));
  CHECK_FALSE(check_address("a@" + std::string(64, 'b')));
  CHECK_FALSE(check_address(std::string("a\0@b", 4)));
}

TEST_CASE("domains") {
  CHECK(check_domain("corp"));
  CHECK(check_domain("xn--mller-kva.example"));
  CHECK(check_domain("müller.example"));
  CHECK(check_domain("@example.com").error().message ==
        "@example.com begins with @; write example.com");
  CHECK(check_domain("*.example.com").error().message ==
        "*.example.com is no domain; subdomains are listed one by one");
  CHECK_FALSE(check_domain(""));
  CHECK_FALSE(check_domain("example.com\n"));
}

TEST_CASE("reject texts are what access(5) and SMTP can carry") {
  for (const std::string text : {"550 5.1.1 Has left the company", "550", "450 4.2.1 Later",
                                 "554 go away", "550 3.5 tons are too much"}) {
    CAPTURE(text);
    CHECK(check_reject(text));
  }
  for (const std::string text :
       {"", "OK", "REJECT", "250 fine", "5500 x", "560 x", "55 x", "550\tx", "550 5.1.1 a\nb",
        "550 4.1.1 wrong class", "450 5.1.1 wrong class", "550 für immer"}) {
    CAPTURE(text);
    CHECK_FALSE(check_reject(text));
  }
  CHECK_FALSE(check_reject("550 " + std::string(400, 'x')));
}

TEST_CASE("a reject text cannot make Postfix hang up on the others") {
  CHECK(check_reject("521 Gone").error().message ==
        "521 makes Postfix hang up, also on the other recipients of the same message; write 550");
  CHECK_FALSE(check_reject("421 4.1.1 Later"));
}

#include "source/access_action.hpp"

#include "catch.hpp"
#include "config/mailbox.hpp"

using rcptsync::source::reject_text;

TEST_CASE("every action that does not refuse accepts") {
  for (const auto* action : {"",
                             "OK",
                             "ok",
                             "RELAY",
                             "DUNNO",
                             "permit",
                             "550",
                             "20260101",
                             "HOLD",
                             "DISCARD",
                             "WARN x",
                             "REDIRECT a@example.com",
                             "PREPEND X: y",
                             "FILTER smtp:x",
                             "x",
                             "REJECTED",
                             "55x text",
                             "5500 text",
                             "a@example.com",
                             "reject_unauth_destination"})
    CHECK(reject_text(action).empty());
}

TEST_CASE("refusals become replies that can be published") {
  CHECK(reject_text("550 5.1.1 Has left") == "550 5.1.1 Has left");
  CHECK(reject_text(" 450\t4.2.1\tlater ") == "450 4.2.1 later");
  CHECK(reject_text("550 gone") == "550 gone");
  CHECK(reject_text("REJECT") == "554 5.7.1 Access denied");
  CHECK(reject_text("reject 5.1.1") == "554 5.1.1 Access denied");
  CHECK(reject_text("DEFER 4.3.0 soon") == "450 4.3.0 soon");
  CHECK(reject_text("DEFER_IF_PERMIT x") == "450 4.7.1 x");
  CHECK(reject_text("DEFER_IF_REJECT x") == "450 4.7.1 x");
  CHECK(reject_text("421 4.3.2 busy") == "450 4.3.2 busy");
  CHECK(reject_text("521 x") == "550 x");
  CHECK(reject_text("550 4.1.1 x") == "550 5.1.1 x");
  CHECK(reject_text("599 x") == "550 x");
  CHECK(reject_text("550 gr\xc3\xbc\xc3\x9f\x01") == "550 gr?????");
  for (const auto* action :
       {"550 5.1.1 Has left", "REJECT", "421 x", "521 x", "599 x", "550 4.1.1 x", "499 x",
        "550 \xff\x01", "DEFER", "550 1.2 x", "554 9.9.9 x"})
    CHECK(rcptsync::config::check_reject(reject_text(action)));
  CHECK(rcptsync::config::check_reject(reject_text("550 " + std::string(1000, 'x'))));
}

#include "recipient/object.hpp"

#include <set>

#include "catch.hpp"

using namespace rcptsync::recipient;

TEST_CASE("values of other protocols are told from addresses") {
  for (const auto* value :
       {"X400:c=US;a= ;p=Org;o=Site;s=Doe;g=John;", "x500:/o=Org/ou=Site/cn=Recipients/cn=jdoe",
        "SIP:john@example.org", "sip:john@example.org", "EUM:1234;phone-context=pc",
        "MS:ORG/PO/JDOE", "CCMAIL:Doe, John at Site", "NOTES:John Doe/Org@Org", "h323:1.2.3.4",
        "SPO:SPO_1f@SPO_2a", "smtps:a@example.org", "  SIP:john@example.org", "xmpp+tls:a@b"}) {
    INFO(value);
    CHECK(other_protocol(value));
    CHECK(without_prefix(value) == value);
  }
  for (const auto* value : {"smtp:a@example.org", "SMTP:a@example.org", "Smtp:a@example.org",
                            "a@example.org", "\"x:y\"@example.org", "", ":", "400:x", "a b:c@d",
                            "jürgen:x@example.org", "  smtp:a@example.org"}) {
    INFO(value);
    CHECK_FALSE(other_protocol(value));
  }
}

TEST_CASE("the prefix goes, once") {
  CHECK(without_prefix("SMTP:A@example.org") == "A@example.org");
  CHECK(without_prefix("  smtp:a@example.org") == "a@example.org");
  CHECK(without_prefix("smtp:smtp:a@example.org") == "smtp:a@example.org");
  CHECK(without_prefix("smtp:") == "");
  CHECK(without_prefix("smtp") == "smtp");
  CHECK(without_prefix("a@example.org") == "a@example.org");
}

TEST_CASE("every reason has words of its own") {
  std::set<std::string_view> texts;
  for (int i = 0; i <= static_cast<int>(Drop::system_object); ++i)
    texts.insert(to_string(static_cast<Drop>(i)));
  CHECK(texts.size() == static_cast<std::size_t>(Drop::system_object) + 1);
  CHECK_FALSE(texts.contains("unknown"));
  CHECK(to_string(Drop::other_domain) == "not in recipients.domains");
}

#include "journal/fields.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"
#include "journal/journal.hpp"

using namespace rcptsync;
using namespace std::chrono_literals;

namespace {

Event full_event() {
  Event event{EventKind::push_failed, Priority::warning, "mx2: connection refused"};
  event.source = "corp";
  event.target = "mx2";
  event.generation = 17;
  event.added = 3;
  event.removed = 0;
  event.total = 12'000'000'000;
  event.digest = "ab12";
  event.duration = 1'500ms;
  event.error = "connection refused";
  return event;
}

bool has(const std::vector<std::string>& fields, const std::string& field) {
  return std::find(fields.begin(), fields.end(), field) != fields.end();
}

}  // namespace

TEST_CASE("the journal gets every field that the event has, under the documented names") {
  const auto fields = journal::journal_fields(full_event());
  CHECK(fields.front() == "MESSAGE=mx2: connection refused");
  CHECK(has(fields, "PRIORITY=4"));
  CHECK(has(fields, "SYSLOG_IDENTIFIER=unit-journal"));
  CHECK(has(fields, "MESSAGE_ID=" + std::string(journal::message_id(EventKind::push_failed))));
  CHECK(has(fields, "RCPTSYNC_EVENT=push-failed"));
  CHECK(has(fields, "RCPTSYNC_SOURCE=corp"));
  CHECK(has(fields, "RCPTSYNC_TARGET=mx2"));
  CHECK(has(fields, "RCPTSYNC_GENERATION=17"));
  CHECK(has(fields, "RCPTSYNC_ADDED=3"));
  CHECK(has(fields, "RCPTSYNC_REMOVED=0"));
  CHECK(has(fields, "RCPTSYNC_TOTAL=12000000000"));
  CHECK(has(fields, "RCPTSYNC_DIGEST=ab12"));
  CHECK(has(fields, "RCPTSYNC_DURATION_USEC=1500000"));
  CHECK(has(fields, "RCPTSYNC_ERROR=connection refused"));
  CHECK(fields.size() == 14);
}

TEST_CASE("an event without a name has neither a message id nor empty fields") {
  const auto fields = journal::journal_fields({EventKind::diagnostic, Priority::debug, "detail"});
  CHECK(fields ==
        std::vector<std::string>{"MESSAGE=detail", "PRIORITY=7", "SYSLOG_IDENTIFIER=unit-journal"});
}

TEST_CASE("a line on stderr is the priority, the message and the fields") {
  CHECK(journal::stderr_line(full_event()) ==
        "warning: mx2: connection refused event=push-failed source=corp target=mx2 generation=17 "
        "added=3 removed=0 total=12000000000 digest=ab12 duration_usec=1500000\n");
  CHECK(journal::stderr_line({EventKind::diagnostic, Priority::error, "no"}) == "error: no\n");
}

TEST_CASE("an error stands on the line once: in the message, or else after it") {
  Event event{EventKind::poll_failed, Priority::error, "corp: poll failed: timed out"};
  event.error = "timed out";
  CHECK(journal::fields_text(event) == " event=poll-failed");
  event.message = "corp: poll failed";
  CHECK(journal::fields_text(event) == " event=poll-failed error=\"timed out\"");
}

TEST_CASE("no value can forge a field or a line on stderr") {
  Event event{EventKind::poll_failed, Priority::error, "one\ntwo\r\x1b[2J"};
  event.source = "a b=\"c\"\nerror: forged";
  CHECK(journal::stderr_line(event) ==
        "error: one two  [2J event=poll-failed source=\"a b=\\\"c\\\"\\nerror: forged\"\n");
  event.source = "ümlaut";
  CHECK(journal::fields_text(event) == " event=poll-failed source=\"ümlaut\"");
}

TEST_CASE("a line stays short enough for a pipe, however long an error is") {
  Event event{EventKind::poll_failed, Priority::error, "failed"};
  event.error = std::string(1 << 20, 'x');
  CHECK(journal::stderr_line(event).size() < 1100);
}

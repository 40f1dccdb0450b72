// What the tool and the daemon say to each other: it reads back, and nothing else is taken for it.
#include "service/control_protocol.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;

TEST_CASE("a request reads back as it was made") {
  Request request;
  request.state_dir = "/var/lib/rcptsync";
  request.config_file = "/etc/rcptsync/rcptsync.yaml";
  request.words = {"why", "m\xC3\xBCller@example.com", "--json"};
  request.order = "1-2-3";
  request.width = 132;
  request.colour = true;
  const auto read = read_request(to_json(request));
  REQUIRE(read);
  CHECK(read->state_dir == request.state_dir);
  CHECK(read->config_file == request.config_file);
  CHECK(read->words == request.words);
  CHECK(read->order == request.order);
  CHECK(read->width == 132);
  CHECK(read->colour);
}

TEST_CASE("bytes that are no UTF-8 do not stop a request from being made") {
  Request request;
  request.words = {"why", "\xFF\xFE"};
  CHECK(read_request(to_json(request)));
}

TEST_CASE("what is no request is refused, and so is another version") {
  for (const std::string text : {"", "{", "[]", "null", "{}", "\xFF", R"({"protocol": "1"})",
                                 R"({"protocol": 1, "state_dir": 1})"}) {
    const auto read = read_request(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::protocol);
  }
  const auto other = read_request(R"({"protocol": 2})");
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Errc::foreign);
  // Each key has to be there with its type.
  const auto whole = to_json(Request());
  for (const std::string key : {"state_dir", "config_file", "words", "order", "width", "colour"}) {
    auto text = whole;
    text.replace(text.find('"' + key + '"') + 1, key.size(), "x");
    CHECK_FALSE(read_request(text));
  }
}

TEST_CASE("a header has a kind and a length in network order") {
  const auto bytes = frame(FrameKind::output, std::string(258, 'x'));
  CHECK(bytes.substr(0, frame_header) == std::string("O\0\0\1\2", 5));
  const auto header = read_header(bytes);
  REQUIRE(header);
  CHECK(header->kind == FrameKind::output);
  CHECK(header->length == 258);
  const auto largest = read_header("Q\xFF\xFF\xFF\xFF");
  REQUIRE(largest);
  CHECK(largest->length == 0xFFFFFFFF);
  CHECK_FALSE(read_header("GET /"));
}

TEST_CASE("messages and ends read back, others are refused") {
  const auto event = read_event(to_json(Event{EventKind::diagnostic, Priority::warning, "two"}));
  REQUIRE(event);
  CHECK(event->priority == Priority::warning);
  CHECK(event->message == "two");
  CHECK_FALSE(read_event(R"({"priority": 0, "message": ""})"));
  CHECK_FALSE(read_event(R"({"priority": 3})"));
  const auto end = read_end(to_json(CommandEnd{3, true, "why"}));
  REQUIRE(end);
  CHECK(end->code == 3);
  CHECK(end->refused);
  CHECK(end->reason == "why");
  CHECK_FALSE(read_end(R"({"code": 256, "refused": false, "reason": ""})"));
  CHECK_FALSE(read_end(R"({"code": -1, "refused": false, "reason": ""})"));
}

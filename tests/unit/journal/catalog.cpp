// The names and ids that people search the journal for stand in three places: here they are the
// same.
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "catch.hpp"
#include "journal/journal.hpp"
#include "kinds.hpp"

using namespace rcptsync;

namespace {

std::string contents(const char* path) {
  std::ifstream in(path);
  REQUIRE(in);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Entry {
  std::string header, body;
};

// journald's reader: an entry begins with `-- ID`, its header ends with an empty line.
std::map<std::string, Entry> catalog() {
  std::istringstream in(contents(RCPTSYNC_CATALOG));
  std::map<std::string, Entry> entries;
  Entry* entry = nullptr;
  bool header = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("-- ")) {
      const auto [place, fresh] = entries.try_emplace(line.substr(3));
      INFO(line);
      REQUIRE(fresh);
      entry = &place->second;
      header = true;
    } else if (entry != nullptr) {
      if (header && line.empty())
        header = false;
      else
        (header ? entry->header : entry->body) += line + '\n';
    }
  }
  return entries;
}

}  // namespace

TEST_CASE("every kind of event has a message id of its own, 128 bits in lower-case hexadecimal") {
  std::set<std::string_view> ids;
  for (const auto kind : test::named_kinds()) {
    const auto id = journal::message_id(kind);
    INFO(to_string(kind));
    CHECK(id.size() == 32);
    CHECK(id.find_first_not_of("0123456789abcdef") == std::string_view::npos);
    CHECK(ids.insert(id).second);
  }
  CHECK(journal::message_id(EventKind::diagnostic).empty());
}

TEST_CASE("the catalog explains exactly the events that there are") {
  const auto entries = catalog();
  CHECK(entries.size() == test::named_kinds().size());
  for (const auto kind : test::named_kinds()) {
    INFO(to_string(kind));
    const auto found = entries.find(std::string(journal::message_id(kind)));
    REQUIRE(found != entries.end());
    CHECK(found->second.header.find("Subject: ") == 0);
    CHECK(found->second.header.find("Defined-By: rcptsync\n") != std::string::npos);
    CHECK(found->second.body.size() > 100);
  }
}

TEST_CASE("the catalog puts in only fields that the daemon sends") {
  const auto text = contents(RCPTSYNC_CATALOG);
  const std::set<std::string> known{"RCPTSYNC_SOURCE", "RCPTSYNC_TARGET",  "RCPTSYNC_GENERATION",
                                    "RCPTSYNC_ADDED",  "RCPTSYNC_REMOVED", "RCPTSYNC_TOTAL",
                                    "RCPTSYNC_DIGEST", "RCPTSYNC_ERROR"};
  int count = 0;
  for (auto at = text.find('@'); at != std::string::npos; at = text.find('@', at + 1), ++count) {
    const auto end = text.find('@', at + 1);
    INFO("after " + text.substr(0, at));
    REQUIRE(end != std::string::npos);
    CHECK(known.contains(text.substr(at + 1, end - at - 1)));
    at = end;
  }
  CHECK(count > 0);
}

TEST_CASE("docs/JOURNAL.md lists every event with its message id") {
  const auto text = contents(RCPTSYNC_JOURNAL_MD);
  for (const auto kind : test::named_kinds()) {
    const auto row = "| `" + std::string(to_string(kind)) + "` | `" +
                     std::string(journal::message_id(kind)) + "` |";
    INFO(row);
    CHECK(text.find(row) != std::string::npos);
  }
}

#include "recipient/table.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/random.hpp"
#include "catch.hpp"
#include "hostile.hpp"
#include "recipient/address.hpp"

using namespace rcptsync;
using namespace rcptsync::recipient;

namespace {

using Rows = std::map<std::string, std::string>;  // sorted, as the store keeps them

Tables tables_of(const Rows& rows, const TableSettings& settings) {
  return make_tables(
      [&](const auto& each) {
        for (const auto& [address, reject] : rows) {
          // Views that die after the call, as a cursor's do.
          const std::string a = address;
          const std::string r = reject;
          each({a, r});
        }
      },
      settings);
}

constexpr auto postfix = config::Format::postfix;
constexpr auto list = config::Format::list;

TableSettings settings(config::Format format, std::vector<std::string> domains = {},
                       bool with_access = false) {
  return {format, std::move(domains), with_access};
}

std::vector<std::string> lines_of(const std::string& bytes) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < bytes.size();) {
    const auto end = bytes.find('\n', begin);
    REQUIRE(end != std::string::npos);  // one final newline, always
    lines.push_back(bytes.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

TEST_CASE("the exact bytes") {
  const Rows rows = {{"@partner.example", ""},  {"\"a b\"@example.org", ""},
                     {"a+b@example.org", ""},   {"a@example.net", ""},
                     {"a@example.org", ""},     {"gone@example.org", "550 5.1.1 Has left"},
                     {"jürgen@example.org", ""}};
  const auto table = tables_of(rows, settings(postfix));
  CHECK(table.recipients.bytes ==
        "\"a b\"@example.org\tOK\n"
        "@partner.example\tOK\n"
        "a+b@example.org\tOK\n"
        "a@example.net\tOK\n"
        "a@example.org\tOK\n"
        "jürgen@example.org\tOK\n");
  CHECK(table.recipients.entries == 6);
  CHECK(table.recipients.digest == sha256(table.recipients.bytes));
  CHECK_FALSE(table.has_access);
  CHECK(table.access.bytes.empty());

  CHECK(tables_of(rows, settings(list)).recipients.bytes ==
        "\"a b\"@example.org\n@partner.example\na+b@example.org\na@example.net\na@example.org\n"
        "jürgen@example.org\n");
}

TEST_CASE("a reject text goes into the access table and nowhere else") {
  const Rows rows = {{"@partner.example", "550 no such key"},
                     {"a@example.org", ""},
                     {"b@xn--mller-kva.example", "450 4.2.1 Wait"},
                     {"gone@example.org", "550 5.1.1 Has left"}};
  const auto table = tables_of(rows, settings(postfix, {}, true));
  CHECK(table.has_access);
  CHECK(table.recipients.bytes == "a@example.org\tOK\n");
  CHECK(table.access.bytes ==
        "b@müller.example\t450 4.2.1 Wait\n"
        "b@xn--mller-kva.example\t450 4.2.1 Wait\n"
        "gone@example.org\t550 5.1.1 Has left\n");
  CHECK(table.access.entries == 3);
  CHECK(table.access.digest == sha256(table.access.bytes));

  const auto listed = tables_of(rows, settings(list, {}, true));
  CHECK_FALSE(listed.has_access);
  CHECK(listed.recipients.bytes == "a@example.org\n");
}

TEST_CASE("an access table without entries is there, and empty") {
  const auto table = tables_of({{"a@example.org", ""}}, settings(postfix, {}, true));
  CHECK(table.has_access);
  CHECK(table.access.bytes.empty());
  CHECK(table.access.digest == sha256(""));
}

TEST_CASE("an internationalised domain stands there in both forms, in order") {
  const Rows rows = {
      {"@xn--mller-kva.example", ""}, {"a@example.org", ""}, {"a@xn--mller-kva.example", ""},
      {"a@zzz.example", ""},          {"b@a.example", ""},   {"z@xn--p1ai", ""}};
  CHECK(tables_of(rows, settings(postfix)).recipients.bytes ==
        "@müller.example\tOK\n"
        "@xn--mller-kva.example\tOK\n"
        "a@example.org\tOK\n"
        "a@müller.example\tOK\n"
        "a@xn--mller-kva.example\tOK\n"
        "a@zzz.example\tOK\n"
        "b@a.example\tOK\n"
        "z@xn--p1ai\tOK\n"
        "z@рф\tOK\n");
  CHECK(tables_of(rows, settings(list)).recipients.entries == 9);
}

TEST_CASE("two domains that one Postfix key stands for make no duplicate key") {
  // postmap folds ß to ss and ς to σ, complains about the second line, and the table is refused.
  const Rows rows = {{"a@strasse.example", ""},
                     {"a@xn--nxasmm1c.example", ""},
                     {"a@xn--nxasmq6b.example", ""},
                     {"a@xn--strae-oqa.example", ""},
                     {"b@xn--strae-oqa.example", ""}};
  CHECK(tables_of(rows, settings(postfix)).recipients.bytes ==
        "a@strasse.example\tOK\n"
        "a@xn--nxasmm1c.example\tOK\n"
        "a@xn--nxasmq6b.example\tOK\n"
        "a@xn--strae-oqa.example\tOK\n"
        "a@βόλος.example\tOK\n"
        "b@straße.example\tOK\n"
        "b@xn--strae-oqa.example\tOK\n");
  CHECK(tables_of(rows, settings(list)).recipients.entries == 9);  // nobody folds a list
}

TEST_CASE("a reject text never hits a valid recipient that shares its Postfix key") {
  // straße rejected, strasse valid: no second form in the access table.
  const auto one = tables_of({{"a@strasse.example", ""}, {"a@xn--strae-oqa.example", "550 gone"}},
                             settings(postfix, {}, true));
  CHECK(one.recipients.bytes == "a@strasse.example\tOK\n");
  CHECK(one.access.bytes == "a@xn--strae-oqa.example\t550 gone\n");
  CHECK(one.not_carried == 0);

  // The other way round, the rejected one has no form but the key of the valid one's second.
  const auto other = tables_of({{"a@strasse.example", "550 gone"},
                                {"a@xn--strae-oqa.example", ""},
                                {"b@strasse.example", "550 gone"}},
                               settings(postfix, {}, true));
  CHECK(other.recipients.bytes == "a@straße.example\tOK\na@xn--strae-oqa.example\tOK\n");
  CHECK(other.access.bytes == "b@strasse.example\t550 gone\n");
  CHECK(other.access.entries == 1);
  CHECK(other.access.digest == sha256(other.access.bytes));
  CHECK(other.not_carried_sample == std::vector<std::string>{"a@strasse.example"});
}

TEST_CASE("a second form that no client could send is left out") {
  std::string label = "xn--";  // one letter of three octets, forty times: short as an A-label
  const std::string unicode_label = [] {
    std::string text;
    for (int i = 0; i < 40; ++i) text += "あ";
    return text;
  }();
  label = canonical_domain(unicode_label);
  REQUIRE_FALSE(label.empty());
  const auto domain = label + "." + label + "." + label;
  const auto bytes = tables_of({{"a@" + domain, ""}}, settings(postfix)).recipients.bytes;
  CHECK(bytes == "a@" + domain + "\tOK\n");
}

TEST_CASE("a target gets its domains only, wildcards too") {
  const Rows rows = {{"@a.example", ""},         {"@b.example", ""},
                     {"x@a.example", ""},        {"x@b.example", ""},
                     {"x@sub.a.example", ""},    {"y@a.example", "550 gone"},
                     {"y@b.example", "550 gone"}};
  const auto table = tables_of(rows, settings(postfix, {"a.example"}, true));
  CHECK(table.recipients.bytes == "@a.example\tOK\nx@a.example\tOK\n");
  CHECK(table.access.bytes == "y@a.example\t550 gone\n");
}

TEST_CASE("what Postfix would take for a comment is dropped, counted and named") {
  Rows rows = {{"#x@example.org", ""}, {"\"# y\"@example.org", ""}, {"a#@example.org", ""}};
  const auto table = tables_of(rows, settings(postfix));
  CHECK(table.recipients.bytes == "\"# y\"@example.org\tOK\na#@example.org\tOK\n");
  CHECK(table.not_carried == 1);
  CHECK(table.not_carried_sample == std::vector<std::string>{"#x@example.org"});
  CHECK(tables_of(rows, settings(list)).not_carried == 0);

  for (int i = 0; i < 200; ++i) rows.emplace("#" + std::to_string(i) + "@example.org", "");
  CHECK(tables_of(rows, settings(postfix)).not_carried == 201);
  CHECK(tables_of(rows, settings(postfix)).not_carried_sample.size() == 100);
}

TEST_CASE("rows that no grammar let through cannot add a line, a comment or a column") {
  const Rows rows = {{" a@example.org", ""},
                     {"", ""},
                     {"a", ""},
                     {"a b@example.org", ""},
                     {"a@", ""},
                     {"a@example.org\nb@example.org", ""},
                     {"a\t@example.org", ""},
                     {"c@example.org", "550 x\nd@example.org OK"},
                     {"e@example.org", "   "},
                     {"good@example.org", "550 good"},
                     {"\"q\rq\"@example.org", ""}};
  const auto table = tables_of(rows, settings(postfix, {}, true));
  CHECK(table.recipients.bytes.empty());
  CHECK(table.access.bytes == "good@example.org\t550 good\n");
  CHECK(table.not_carried == 10);
}

TEST_CASE("sorted, unique and ended by newlines, whatever the addresses are") {
  SeededRandom random(4711);
  for (int round = 0; round < 20; ++round) {
    Rows rows;
    for (int i = 0; i < 2000; ++i) {
      const auto parsed = parse_address(test::hostile_address(random));
      if (parsed.drop == Drop::kept)
        rows.emplace(parsed.canonical, random.next() % 9 ? "" : "550 no");
    }
    for (const auto format : {postfix, list}) {
      const auto table = tables_of(rows, settings(format, {}, true));
      for (const File* file : {&table.recipients, &table.access}) {
        const auto lines = lines_of(file->bytes);
        CHECK(lines.size() == file->entries);
        CHECK(std::is_sorted(lines.begin(), lines.end()));
        CHECK(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
        CHECK(file->digest == sha256(file->bytes));
      }
      // Nothing lost: read back and folded, it is the set that went in.
      std::set<std::string> expected;
      for (const auto& [address, reject] : rows)
        if (reject.empty() && (format == list || address.front() != '#')) expected.insert(address);
      const auto found = addresses_in(table.recipients.bytes, format);
      CHECK(std::set<std::string>(found.begin(), found.end()) == expected);
    }
  }
}

TEST_CASE("a large table is digested piece by piece to the same digest") {
  Rows rows;
  for (int i = 0; i < 50'000; ++i) {
    rows.emplace("user" + std::to_string(i) + "@example.org", "");
    if (i % 7 == 0) rows.emplace("user" + std::to_string(i) + "@xn--mller-kva.example", "");
  }
  const auto table = tables_of(rows, settings(postfix));
  CHECK(table.recipients.bytes.size() > 1'000'000);
  CHECK(table.recipients.digest == sha256(table.recipients.bytes));
}

TEST_CASE("the formats that are built in") {
  CHECK(supported(postfix));
  CHECK(supported(list));
  CHECK_FALSE(supported(config::Format::exim));
  CHECK_FALSE(supported(config::Format::sendmail));
}

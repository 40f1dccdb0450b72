// Input that nobody would write by accident, and input that somebody did.
#include <array>

#include "base/random.hpp"
#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync;
using namespace rcptsync::config;

namespace {

std::string repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

bool mentions(const Lines& faults, std::string_view text) {
  for (const auto& fault : faults)
    if (fault.find(text) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("nothing at all is a fault") {
  for (const std::string yaml :
       {"", "\n\n", "# only a comment\n", "---\n", "--- ~\n", "\xef\xbb\xbf"}) {
    CAPTURE(yaml);
    const auto faults = faults_of(yaml);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].find("the file is empty") != std::string::npos);
  }
}

TEST_CASE("a byte order mark is ignored, CRLF is a line end") {
  CHECK(faults_of("\xef\xbb\xbf" + least) == Lines{});
  std::string crlf;
  for (const char c : least) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(faults_of(crlf) == Lines{});
  CHECK(faults_of(crlf + "port: 1\r\n").at(0).substr(0, 8) == "7: port:");
}

TEST_CASE("what is no text is refused with its line") {
  CHECK(faults_of(least + std::string("a: \0b\n", 6)) ==
        Lines{"7: : control character \\x00; this is not a text file, or it is damaged"});
  CHECK(faults_of("a: 1\nb: \x1b[2J\n") ==
        Lines{"2: : control character \\x1b; this is not a text file, or it is damaged"});
  CHECK(faults_of("a: 1\nb: J\xfcrgen\n") ==
        Lines{"2: : not UTF-8: b: J\\xfcrgen; save the file as UTF-8"});
  CHECK(faults_of("\xff\xfe" + least) == Lines{"1: : the file is UTF-16; save it as UTF-8"});
  std::string garbage;
  SeededRandom random(7);
  for (int i = 0; i < 10'000; ++i) garbage += static_cast<char>(random.next());
  CHECK(faults_of(garbage).size() == 1);
}

TEST_CASE("a tab that indents is named") {
  CHECK(faults_of("schedule:\n\tpoll: 5m\n").at(0).find("2: : YAML: a tab cannot indent") == 0);
}

TEST_CASE("a syntax error has its line") {
  CHECK(faults_of(least + "guard: {max_removals: 5\n").at(0).find(": : YAML: ") == 1);
  CHECK(mentions(faults_of("a: b: c\n"), "1: : YAML: "));
}

TEST_CASE("a quote that is never closed does not swallow the rest in silence") {
  const std::string fault =
      ": : YAML: the file ends inside quotes; close the quote that was opened";
  CHECK(mentions(faults_of(least + "metrics_file: \"/x\nguard: {max_removals: 0}\n"), fault));
  CHECK(mentions(faults_of(least + "metrics_file: '/x\nguard: {max_removals: 0}\n"), fault));
  CHECK(mentions(faults_of(least + "metrics_file: \"/x"), fault));
  CHECK(mentions(faults_of(least + "metrics_file: \"/x\n\n"), fault));
}

TEST_CASE("nothing after the end of the document is lost in silence") {
  CHECK(mentions(faults_of(least + "...\nguard: {}\n"), "8: : a second YAML document"));
  CHECK(mentions(faults_of(least + "%x\nguard: {}\n"), "8: : a second YAML document"));
}

TEST_CASE("anchors, aliases, merge keys, tags and several documents are refused") {
  CHECK(faults_of("a: &x 1\nb: *x\n" + least) ==
        Lines{"1: : YAML anchors (&name) are not accepted here; write the value where it is used",
              "1: a: unknown key; known here are guard, history, metrics_file, notify, recipients, "
              "removal, rollout, schedule, sources, state_dir, stop_timeout, target_defaults, "
              "targets",
              "2: : YAML aliases (*name) are not accepted here; write the value itself",
              "2: b: unknown key; known here are guard, history, metrics_file, notify, recipients, "
              "removal, rollout, schedule, sources, state_dir, stop_timeout, target_defaults, "
              "targets"});
  CHECK(mentions(faults_of(least + "guard: {<<: {max_removals: 1}}\n"),
                 "7: guard.<<: YAML merge keys are not accepted here"));
  CHECK(mentions(faults_of(least + "stop_timeout: !!str 5s\n"), "7: : YAML tags"));
  CHECK(mentions(faults_of(least + "---\n" + least), "a second YAML document begins here"));
}

TEST_CASE("a billion laughs are not laughed") {
  std::string bomb = "a0: &a0 [lol]\n";
  for (int i = 1; i < 40; ++i) {
    const auto last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + "," + last + "]\n";
  }
  CHECK(mentions(faults_of(bomb), "anchors"));
}

TEST_CASE("depth is limited in every style") {
  CHECK(mentions(faults_of("a: " + repeat("[", 100'000)), "nested deeper"));
  CHECK(mentions(faults_of("a: " + repeat("{a: ", 10'000)), "nested deeper"));
  CHECK(mentions(faults_of(repeat("- ", 10'000) + "x"), "nested deeper"));
  CHECK_FALSE(faults_of(repeat("? ", 10'000)).empty());
}

TEST_CASE("size is limited everywhere") {
  CHECK(mentions(faults_of("a: " + std::string(4 << 20, 'x')), "larger than the 4 MiB"));
  const auto scalar = faults_of(least + "state_dir: /" + std::string(1 << 20, 'x') + "\n");
  REQUIRE(scalar.size() == 1);
  CHECK(scalar[0] == "7: state_dir: 1048577 bytes long; at most 4000 are accepted");
  CHECK(mentions(faults_of("a: [" + repeat("0,", 1'300'000) + "]"), "more than 1200000 values"));
  CHECK(mentions(faults_of(least + "targets: [" + repeat("{},", 10'001) + "]"),
                 "has 10001 items; at most 10000 are accepted"));
}

TEST_CASE("a flood of faults is cut short and says so") {
  std::string flood = least;
  for (int i = 0; i < 5000; ++i) flood += "key" + std::to_string(i) + ": " + "1\n";
  const auto loaded = load_here(flood);
  CHECK(loaded.faults.size() <= 1001);
  CHECK_FALSE(loaded.usable());
  std::string twice = least;
  for (int i = 0; i < 5000; ++i) twice += "key: 1\n";
  CHECK(load_here(twice).faults.back().text().find(" more faults are not shown") !=
        std::string::npos);
}

TEST_CASE("escape sequences cannot smuggle control characters in") {
  CHECK(faults_of(least + "targets: [{name: \"a\\nb\", host: a}]\n").size() == 1);
  CHECK(mentions(faults_of(least + "state_dir: \"/x\\u0085y\"\n"), "control character"));
  CHECK_FALSE(faults_of(least + "state_dir: \"/x\\ud800y\"\n").empty());
  for (const auto& fault : faults_of("\"\\e[2Jkey\": 1\n" + least))
    CHECK(fault.find('\x1b') == std::string::npos);
}

TEST_CASE("a file that cannot be read is one fault") {
  const Folder folder;
  const auto missing = load(folder / "none.yaml");
  REQUIRE(missing.faults.size() == 1);
  CHECK(missing.faults[0].text().find("No such file") != std::string::npos);
  CHECK_FALSE(missing.usable());
  CHECK_FALSE(load(folder / "").usable());
  folder.write("large.yaml", std::string((4 << 20) + 1, '#'));
  CHECK_FALSE(load(folder / "large.yaml").usable());
}

TEST_CASE("no mutation of the example crashes, and every fault says something") {
  const auto bytes = [] {
    std::ifstream in(RCPTSYNC_EXAMPLE);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  REQUIRE(bytes.size() > 1000);
  constexpr std::array<std::string_view, 16> pieces{
      "[", "]", "{", "}", ": ", "- ", "\n", "\"", "'", "&a ", "*a", "#", "\t", "? ", "|\n", "<<: "};
  constexpr std::uint64_t seed = 20260301;
  SeededRandom random(seed);
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(seed, round);
    auto text = bytes;
    for (auto changes = 1 + random.next() % 6; changes > 0; --changes) {
      const auto at = random.next() % text.size();
      switch (random.next() % 4) {
        case 0:
          text[at] = static_cast<char>(random.next());
          break;
        case 1:
          text.erase(at, random.next() % 40);
          break;
        case 2:
          text.insert(at, pieces[random.next() % pieces.size()]);
          break;
        default:
          text.insert(at, text.substr(random.next() % text.size(), random.next() % 80));
      }
    }
    for (const auto& fault : load_here(text).faults) {
      CHECK_FALSE(fault.what.empty());
      CHECK(fault.line >= 0);
      CHECK(fault.text().find('\n') == std::string::npos);
    }
  }
}

#include "push/recipe.hpp"

#include <cstdio>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::push;
using Catch::Matchers::Contains;

namespace {

constexpr std::string_view mark = "0011aabb";
const std::string digits(64, 'a');

CommandOutput said(std::string out, int status = 0) {
  CommandOutput output;
  output.out = std::move(out);
  output.status = status;
  return output;
}

// What sh makes of a script on its standard input.
std::string run_sh(const std::string& script) {
  char name[] = "/tmp/rcptsync-recipe-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, script.data(), script.size()) == static_cast<ssize_t>(script.size()));
  ::close(fd);
  auto* pipe = ::popen((std::string("sh -s 2>/dev/null <") + name).c_str(), "r");
  std::string out;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  ::pclose(pipe);
  ::unlink(name);
  return out;
}

}  // namespace

TEST_CASE("a quoted word comes back from the shell as it was") {
  for (const std::string word :
       {"", "plain", "two words", "it's", "'", "''", "$HOME `id` $(id) \\ \"", "a\nb", "*?[x]",
        "-n", "!x", "\xff\xfe", "ü", ";|&<>#~"})
    CHECK(run_sh("printf '%s' " + shell_quote(word)) == word);
}

TEST_CASE("placeholders are replaced by quoted words and by nothing else") {
  const auto digest = sha256("x");
  CHECK(rebuild_command("mv {new} {table} # {digest} {other}", "/a/n", "/a/t", digest) ==
        "mv '/a/n' '/a/t' # '" + digest.hex() + "' {other}");
}

TEST_CASE("which paths can be used") {
  for (const char* good :
       {"/var/lib/rcptsync-target/relay_recipients", "/a", "/ü/x", "/a.b/c+d@e=f%g~"})
    CHECK(usable_path(good));
  for (const char* bad : {"", "/", "relative", "/a/", "/a b", "/a'b", "/a\nb", "/a$b", "/a*", "/a!",
                          "/a\\b", "/a;b", "/a,b", "/a{b}", "/a:b", "/a\xff"})
    CHECK_FALSE(usable_path(bad));
  CHECK_FALSE(usable_path("/" + std::string(1024, 'a')));
}

TEST_CASE("the script runs as it is sent, with every argument intact") {
  const auto out = run_sh(recipe_input(mark, {"no such verb: it's $HOME"}));
  CHECK(out == "0011aabb fail=invalid unknown verb no such verb: it's $HOME\n");
}

TEST_CASE("a script that is cut off does nothing") {
  const auto whole = recipe_input(mark, {"no such verb"});
  CHECK(run_sh(whole.substr(0, whole.size() / 2)).empty());
  CHECK(run_sh(whole.substr(0, whole.size() - std::string("main \"$@\"\n").size())).empty());
}

TEST_CASE("answers are found between whatever else a shell prints") {
  const auto output = said(
      "Welcome!\nend=ok\nno newline here0011aabb digest=absent\nnoise\n"
      "0011aabb warning=one=two\n0011aabb warning=three\n0011aabb end=ok\nbye\n");
  const auto answers = parse_answers(output, mark);
  REQUIRE(answers);
  CHECK(answers->get("digest") == "absent");
  CHECK(answers->values.size() == 4);
  CHECK(answers->get("warning") == "three");
  CHECK(answers->get("none").empty());
}

TEST_CASE("an answer without an end is a failure that shows what was said") {
  const auto nologin = said("This account is currently not available.\n", 1);
  const auto answers = parse_answers(nologin, mark);
  REQUIRE(!answers);
  CHECK(answers.error().code == Errc::remote);
  CHECK_THAT(answers.error().message, Contains("currently not available"));
  CHECK(!parse_answers(said("0011aabb digest=absent\n"), mark));
  CHECK(!parse_answers(said("0011aabb end=ok"), mark));  // its line is cut off
  CHECK(!parse_answers(said("ffffffff end=ok\n"), mark));
  auto killed = said("0011aabb digest=absent\n");
  killed.signal = "KILL";
  CHECK(parse_answers(killed, mark).error().code == Errc::incomplete);
}

TEST_CASE("a failure keeps its code and its words, without control characters") {
  const auto output = said("0011aabb fail=no_space /x is \x1b[31mfull\n", 1);
  const auto answers = parse_answers(output, mark);
  REQUIRE(!answers);
  CHECK(answers.error().code == Errc::no_space);
  CHECK(answers.error().message == "/x is \\x1b[31mfull");
  CHECK(parse_answers(said("0011aabb fail=gibberish x\n"), mark).error().code == Errc::remote);
  CHECK(parse_answers(said("0011aabb fail=\n"), mark).error().code == Errc::remote);
}

TEST_CASE("raw bytes follow untouched, even if they look like answers") {
  const std::string table = "0011aabb fail=io x\n\0\xff no newline at the end";
  const auto output = said("noise\n0011aabb bytes=follow\n" + table);
  const auto answers = parse_answers(output, mark);
  REQUIRE(answers);
  CHECK(answers->bytes == table);
  CHECK(!parse_answers(said("0011aabb bytes=follow\n" + table, 1), mark));
}

TEST_CASE("what look answers") {
  const auto output = said("0011aabb digest=" + digits +
                           "\n0011aabb size=17\n0011aabb map_type=lmdb\n0011aabb whole=yes\n"
                           "0011aabb access_digest=absent\n0011aabb access_whole=no\n"
                           "0011aabb warning=w\n0011aabb end=ok\n");
  const auto look = parse_look(*parse_answers(output, mark));
  REQUIRE(look);
  CHECK(look->recipients.digest == Digest::from_hex(digits));
  CHECK(look->recipients.size == 17);
  CHECK(look->recipients.whole);
  REQUIRE(look->access);
  CHECK_FALSE(look->access->digest);
  CHECK_FALSE(look->access->whole);
  CHECK(look->map_type == "lmdb");
  CHECK(look->warnings == std::vector<std::string>{"w"});
}

TEST_CASE("a look that lies is an error, not a guess") {
  for (const char* answer : {"digest=zz\n0011aabb size=1", "digest=", "size=1",
                             "digest=absent\n0011aabb access_digest=12"}) {
    const auto output = said(std::string("0011aabb ") + answer + "\n0011aabb end=ok\n");
    INFO(answer);
    CHECK(parse_look(*parse_answers(output, mark)).error().code == Errc::protocol);
  }
  for (const char* size : {"-1", "1x", "", "99999999999999999999999"}) {
    const auto output =
        said("0011aabb digest=" + digits + "\n0011aabb size=" + size + "\n0011aabb end=ok\n");
    CHECK(parse_look(*parse_answers(output, mark)).error().code == Errc::protocol);
  }
}

#include "service/cookies.hpp"

#include <fstream>

#include "base/file.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;

namespace {

const std::string first("\0\xff\"first\n", 9);
const std::string second("\0\xff\"second\n", 10);

NewerCookies some() {
  return {{"corp", {second, sha256(first)}}, {"caf\xc3\xa9 \"x\"", {"c", sha256("b")}}};
}

}  // namespace

TEST_CASE("cookies come back as they were kept") {
  test::Folder folder;
  REQUIRE(save_cookies(folder.path(), some()));
  CHECK(load_cookies(folder.path()) == some());
}

TEST_CASE("a newer cookie is believed only beside the cookie that it is newer than") {
  const auto cookies = some();
  CHECK(latest_cookie(cookies, "corp", first) == second);
  CHECK(latest_cookie(cookies, "corp", "a later one") == "a later one");
  CHECK(latest_cookie(cookies, "corp", second) == second);
  CHECK(latest_cookie(cookies, "other", first) == first);
  CHECK(latest_cookie({}, "corp", first) == first);
  // A state that was begun anew knows no object, so nothing may be left out.
  CHECK(latest_cookie({{"corp", {second, sha256("")}}}, "corp", "").empty());
}

TEST_CASE("a missing or foreign file holds no cookies") {
  test::Folder folder;
  CHECK(load_cookies(folder.path()).empty());
  for (const auto* text : {"", "{", "[]", "null", "{\"corp\":3}", "{\"corp\":{\"cookie\":3}}",
                           "{\"corp\":{\"cookie\":\"Yg==\",\"after\":\"x\",\"seal\":null}}"}) {
    CAPTURE(text);
    REQUIRE(replace_file(folder.path() / "cookies.json", text, 0600));
    CHECK(load_cookies(folder.path()).empty());
  }
}

TEST_CASE("no damage to the file gives a cookie that nobody kept") {
  test::Folder folder;
  REQUIRE(save_cookies(folder.path(), {{"corp", {"1234567890", sha256(first)}}}));
  const auto good = read_file(folder.path() / "cookies.json", 1 << 20).value();
  const auto kept = load_cookies(folder.path());
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const char with : {'A', '0', '"', ' '}) {
      auto bad = good;
      bad[i] = with;
      std::ofstream(folder.path() / "cookies.json", std::ios::binary) << bad;
      const auto read = load_cookies(folder.path());
      CHECK((read.empty() || read == kept));
    }
}

#include "catch.hpp"
#include "fixture.hpp"

using namespace rcptsync::config;

namespace {

Loaded load_with(const Folder& folder, const std::string& items) {
  return load_text(least + "recipients:\n  exclude: [" + items + "]\n", folder / "rcptsync.yaml");
}

}  // namespace

TEST_CASE("a file of exclusions: one a line, comments, blanks, CRLF and a byte order mark") {
  const Folder folder;
  folder.write("exclude.txt",
               "\xef\xbb\xbf# who is not to get mail\r\n\r\n  a@example.com  \r\n@lab.example\n"
               "/^x#y/\n#@comment.example");
  const auto loaded = load_with(folder, "file:exclude.txt, b@example.com");
  CHECK(faults_in(loaded) == Lines{});
  const auto& exclude = loaded.config.recipients.exclude;
  REQUIRE(exclude.size() == 4);
  CHECK(exclude[0].text == "a@example.com");
  CHECK(exclude[0].file == (folder / "exclude.txt").native());
  CHECK(exclude[0].line == 3);
  CHECK(exclude[1].text == "lab.example");
  CHECK(exclude[2].text == "^x#y");
  CHECK(exclude[2].line == 5);
  CHECK(exclude[3].text == "b@example.com");
  CHECK(exclude[3].line == 8);
}

TEST_CASE("a fault in such a file carries that file's line") {
  const Folder folder;
  folder.write("exclude.txt", "a@example.com\nnonsense\nfile:other.txt\n/(/\na\xff@b\n");
  const auto loaded = load_with(folder, "file:exclude.txt");
  REQUIRE(faults_in(loaded).size() == 4);
  const auto file = (folder / "exclude.txt").native();
  CHECK(loaded.faults[1].text().find(file + ":2: recipients.exclude[0]: ") == 0);
  CHECK(loaded.faults[2].text() ==
        file +
            ":3: recipients.exclude[0]: a file of exclusions cannot name another file; list it in "
            "the configuration");
  CHECK(loaded.faults[3].text() == file +
                                       ":4: recipients.exclude[0]: /(/ is no regular expression "
                                       "(RE2 syntax): missing ): (");
  CHECK(loaded.faults[4].text() == file + ":5: recipients.exclude[0]: a\\xff@b is not UTF-8");
  CHECK(loaded.config.recipients.exclude.size() == 1);
}

TEST_CASE("a file of exclusions that is not there is a fault, not an empty list") {
  const Folder folder;
  const auto faults = faults_in(load_with(folder, "file:exclude.txt"));
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].find("No such file") != std::string::npos);
}

TEST_CASE("what is no exclusion is said with what to write") {
  const auto fault = [](const std::string& text) {
    const auto faults = faults_of(least + "recipients:\n  exclude: ['" + text + "']\n");
    return faults.empty() ? "" : faults.at(0);
  };
  CHECK(fault("*@lab.example") ==
        "8: recipients.exclude[0]: *@lab.example is no wildcard; write @lab.example");
  CHECK(fault("/x/i").find("something after the closing /") != std::string::npos);
  CHECK(fault("/").find("no closing /") != std::string::npos);
  CHECK(fault("//").find("exclude everything") != std::string::npos);
  CHECK(fault("/(?=x)/").find("no regular expression") != std::string::npos);
  CHECK(fault("/(((x{100}){100}){100}){100}/").find("no regular expression") != std::string::npos);
  CHECK(fault("lab.example").find("write an address, @domain") != std::string::npos);
  CHECK(fault("/a/b/") == "");
}

TEST_CASE("the number of regular expressions is limited") {
  const Folder folder;
  std::string lines;
  for (int i = 0; i < 1001; ++i) lines += "/x" + std::to_string(i) + "/\n";
  folder.write("exclude.txt", lines);
  const auto faults = faults_in(load_with(folder, "file:exclude.txt"));
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].find("1001: recipients.exclude[0]: more than 1000 regular expressions") == 0);
}

TEST_CASE("a hundred thousand exclusions load") {
  const Folder folder;
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "user" + std::to_string(i) + "@example.com\n";
  folder.write("exclude.txt", lines);
  const auto loaded = load_with(folder, "file:exclude.txt");
  CHECK(loaded.usable());
  CHECK(loaded.config.recipients.exclude.size() == 100'000);
}

#include "source/ask.hpp"

#include <fstream>

#include "catch.hpp"
#include "files.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

TEST_CASE("nothing that is typed can leave its place in the filter") {
  CHECK(address_filter({"mail"}, {"a@b.test"}) ==
        "(|(mail=a@b.test)(mail=smtp:a@b.test)(mail=SMTP:a@b.test))");
  const auto filter = address_filter({"mail"}, {"*)(uid=*)\\28\xc3\xa9 \n@b.test"});
  CHECK(filter.starts_with("(|(mail=\\2a\\29\\28uid=\\2a\\29\\5c28\\c3\\a9\\20\\0a@b.test)"));
  CHECK(std::count(filter.begin(), filter.end(), '(') == 4);
  CHECK(std::count(filter.begin(), filter.end(), ')') == 4);
}

TEST_CASE("a file is asked as it is now") {
  const test::Folder folder;
  config::FileSource file;
  file.path = folder.write("list", "ann@example.com\nsmtp:Bob@Example.com\nbob@example.com\n");
  const config::Source source{
      .name = "by-hand", .type = config::SourceType::table, .details = file};

  auto answer = ask(source, "BOB@example.com", {}, {});
  REQUIRE(answer);
  REQUIRE(answer->sightings.size() == 1);
  CHECK(answer->sightings[0].origin == file.path + ":2");
  CHECK(answer->sightings[0].missed.empty());
  CHECK(answer->sightings[0].values.size() == 2);

  folder.write("list", "ann@example.com\n");
  answer = ask(source, "bob@example.com", {}, {});
  REQUIRE(answer);
  CHECK(answer->sightings.empty());

  std::filesystem::remove(file.path);
  CHECK(ask(source, "bob@example.com", {}, {}).error().code == Errc::not_found);
}

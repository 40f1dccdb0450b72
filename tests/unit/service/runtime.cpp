#include "service/runtime.hpp"

#include "base/file.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;

TEST_CASE("the status file comes back as it was written") {
  test::Folder folder;
  RuntimeStatus status;
  status.pid = 42;
  status.program = "1.0";
  status.started = WallTime{std::chrono::seconds(1772366400)};
  status.sources["corp"] = {"full", "dc1",          status.started, "",
                            true,   status.started, "dc1 lags",     "connected"};
  status.sources["other"] = {"", "", std::nullopt, "dc2: \"no\" answer\xff", false, {}, {}, {}};
  status.pushing = {"mx1"};
  status.unproven = {"mx1", "mx2"};
  REQUIRE(save_runtime(folder.path(), status));
  const auto read = load_runtime(folder.path());
  CHECK(read.pid == 42);
  CHECK(read.program == "1.0");
  CHECK(read.started == status.started);
  CHECK_FALSE(read.next_poll);
  CHECK(read.sources.at("corp") == status.sources.at("corp"));
  CHECK(read.sources.at("other").last_error.starts_with("dc2: \"no\" answer"));
  CHECK(read.pushing == status.pushing);
  CHECK(read.unproven == status.unproven);
}

TEST_CASE("a damaged or missing status file is an empty status") {
  test::Folder folder;
  CHECK(load_runtime(folder.path()).sources.empty());
  for (const auto* text : {"", "{", "[]", "null", "{\"pid\":\"x\",\"sources\":[1],\"pushing\":{}}",
                           "{\"sources\":{\"a\":3,\"b\":{\"mode\":4,\"last_success\":\"yesterday\","
                           "\"complete\":\"yes\"}}}"}) {
    CAPTURE(text);
    REQUIRE(replace_file(folder.path() / "status.json", text, 0600));
    const auto read = load_runtime(folder.path());
    CHECK(read.pid == 0);
    for (const auto& [name, source] : read.sources) CHECK_FALSE(source.last_success);
  }
}

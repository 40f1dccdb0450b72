#include "service/first_push.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;

namespace {

std::string users(int first, int last, const std::string& domain = "example.com") {
  std::string table;
  for (int i = first; i <= last; ++i) table += "u" + std::to_string(i) + "@" + domain + "\tOK\n";
  return table;
}

sync::GuardVerdict::Action action(const std::string& present, const std::string& next,
                                  config::Config config = {}) {
  return judge_first_push(config, config::Format::postfix, present, next).verdict.action;
}

constexpr auto publish = sync::GuardVerdict::Action::publish;

}  // namespace

TEST_CASE("a target that holds nothing, or what it is to get, is given the table") {
  CHECK(action("", users(1, 5)) == publish);
  CHECK(action(users(1, 500), users(1, 500)) == publish);
  CHECK(action(users(1, 500), users(1, 600)) == publish);
}

TEST_CASE("a table that would empty a gateway is not pushed") {
  const auto first = judge_first_push({}, config::Format::postfix, users(1, 500), users(1, 5));
  CHECK(first.verdict.action != publish);
  CHECK(first.removed == 495);
  CHECK(first.present == 500);
  CHECK(first.verdict.digest != Digest{});
}

TEST_CASE("what the administrator wrote in another case or with other values counts as the same") {
  CHECK(action("# by hand\n\nU1@Example.COM  whatever\nu2@example.com\tOK\r\n", users(1, 2)) ==
        publish);
}

TEST_CASE("an address under a wildcard of the new table is not lost") {
  CHECK(action(users(1, 500), "@example.com\tOK\n") == publish);
  CHECK(action(users(1, 500), "@example.net\tOK\n") != publish);
}

TEST_CASE("a canary that the target accepts must stay") {
  config::Config config;
  config.guard.canaries = {"u1@example.com"};
  CHECK(action(users(1, 500), users(2, 500)) == publish);
  CHECK(action(users(1, 500), users(2, 500), config) != publish);
  CHECK(action(users(1, 500), "@example.com\tOK\n", config) == publish);
}

#include "service/operator.hpp"

#include <sstream>

#include "lines.hpp"
#include "world.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;

namespace {

struct Sink final : EventSink {
  void emit(const Event& event) override { text += event.message + "\n"; }
  std::string text;
};

}  // namespace

TEST_CASE("the table of any kept generation has the bytes that it had then") {
  World world;
  world.config.recipients.domains = {"example.com", "example.net"};
  world.sources["corp"].objects["1"] = {"SMTP:ann@example.com", "smtp:ann@example.net"};
  world.sources["corp"].rejects["gone@example.com"] = "550 5.1.1 gone";
  world.sources["corp"].objects["2"] = {"SMTP:bob@example.com", "gone@example.com"};
  std::vector<std::string> tables;
  const auto keep = [&] {
    world.cycle();
    tables.push_back(world.table());
  };
  keep();
  world.sources["corp"].objects.erase("1");
  keep();
  world.sources["corp"].objects["3"] = {"SMTP:cyd@example.net"};
  keep();
  config::Target list;
  list.name = "list";
  list.format = config::Format::list;
  list.domains = {"example.net"};
  world.config.targets.push_back(list);

  Sink errors;
  const OperatorContext context{world.config, &world.store(), errors};
  const auto table = [&](const TableQuery& query) {
    std::ostringstream out;
    CHECK(print_table(context, query, out) == exit_ok);
    return out.str();
  };
  for (std::uint64_t generation = 1; generation <= 3; ++generation)
    CHECK(table({{}, false, generation}) == tables[generation - 1]);
  CHECK(table({"list", false, 1}) == "ann@example.net\n");
  CHECK(table({"list", false, 3}) == "cyd@example.net\n");
  CHECK(table({{}, true, 1}) == "gone@example.com\t550 5.1.1 gone\n");
  CHECK(table({{}, false, {}}) == tables[2]);

  std::ostringstream out;
  CHECK(print_table(context, {{}, false, 9}, out) == exit_failed);
  CHECK(out.str().empty());
  CHECK(errors.text.find("generation 9 is not kept") != std::string::npos);
}

TEST_CASE("every answer of a real state fits a terminal") {
  World world;
  for (int i = 0; i < 40; ++i)
    world.sources["corp"].objects[std::to_string(i)] = {"SMTP:person" + std::to_string(i) +
                                                        "@example.com"};
  world.cycle();
  for (int i = 0; i < 15; ++i) world.sources["corp"].objects.erase(std::to_string(i));
  REQUIRE(world.cycle().hold);
  world.config.state_dir = world.folder();
  Sink errors;
  const OperatorContext context{world.config, &world.store(), errors};
  std::ostringstream out;
  CHECK(print_status(context, out) == exit_held);
  CHECK(print_diff(context, DifferenceQuery{}, out) == exit_ok);
  CHECK(print_history(context, 0, out) == exit_ok);
  CHECK(print_why(context, WhyQuery{"person1@example.com", false}, out) == exit_ok);
  CHECK(print_why(context, WhyQuery{"person1@example.org", false}, out) == exit_not_listed);
  check_fits(out.str());
  CHECK(errors.text.empty());

  const OperatorContext nothing{world.config, nullptr, errors};
  CHECK(print_diff(nothing, DifferenceQuery{}, out) == exit_failed);
  CHECK(errors.text.find("holds no state yet") != std::string::npos);
}

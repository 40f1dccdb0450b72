// The command line: each command with its words, and what is wrong usage.
#include "service/command.hpp"

#include "catch.hpp"

using namespace rcptsync::service;
using Kind = Command::Kind;

namespace {

Command read(const std::vector<std::string>& words) {
  const auto line = read_command_line(words);
  INFO(line.errors);
  REQUIRE(line.command);
  return *line.command;
}

}  // namespace

TEST_CASE("every command is read") {
  CHECK(read({"status"}).kind == Kind::status);
  CHECK(read({"status", "--json"}).json);
  CHECK(read({"-c", "/x.yaml", "poll"}).config_file == "/x.yaml");
  CHECK(read({"history"}).limit == usual_history);
  CHECK(read({"history", "-n", "0"}).limit == 0);
  const auto diff = read({"diff", "3", "7"});
  CHECK(diff.kind == Kind::diff);
  CHECK(diff.from == 3U);
  CHECK(diff.to == 7U);
  CHECK(read({"table", "--target", "mx1", "--access"}).target == "mx1");
  CHECK(read({"why", "a@b.example"}).address == "a@b.example");
  CHECK(read({"approve", "abc"}).digest == "abc");
  CHECK(read({"reject", "abc"}).kind == Kind::reject);
  CHECK(read({"rollback", "12"}).generation == 12);
  CHECK(read({"resync"}).kind == Kind::resync);
  CHECK(read({"push"}).targets.empty());
  CHECK(read({"push", "mx1", "mx2"}).targets == std::vector<std::string>{"mx1", "mx2"});
  CHECK(read({"verify", "mx1"}).kind == Kind::verify);
  CHECK(read({"target", "test", "mx1"}).kind == Kind::target_test);
  CHECK(read({"target", "setup", "mx1", "--json"}).kind == Kind::target_setup);
  CHECK(read({"keygen", "--file", "/k"}).key_file == "/k");
  CHECK(read({"prune-directory", "--apply"}).pruning.apply);
}

TEST_CASE("wrong usage, help and the version are no commands") {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"bogus"},
                                             {"why"},
                                             {"approve"},
                                             {"rollback", "x"},
                                             {"rollback", "-1"},
                                             {"history", "-n", "-1"},
                                             {"diff", "-1"},
                                             {"target"},
                                             {"target", "test"},
                                             {"diff", "1", "2", "3"},
                                             {"status", "--config"}}) {
    const auto line = read_command_line(words);
    CHECK_FALSE(line.command);
    CHECK(line.code == exit_usage);
    CHECK_FALSE(line.errors.empty());
  }
  const auto help = read_command_line({"--help"});
  CHECK_FALSE(help.command);
  CHECK(help.code == exit_ok);
  CHECK(help.out.find("approve") != std::string::npos);
  CHECK(read_command_line({"--version"}).out.find('.') != std::string::npos);
}

TEST_CASE("what changes something is an order") {
  for (const auto kind :
       {Kind::approve, Kind::reject, Kind::rollback, Kind::resync, Kind::poll, Kind::push})
    CHECK(is_order(kind));
  for (const auto kind : {Kind::status, Kind::history, Kind::diff, Kind::table, Kind::why,
                          Kind::verify, Kind::target_test, Kind::keygen, Kind::prune})
    CHECK_FALSE(is_order(kind));
}

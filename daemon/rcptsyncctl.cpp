// rcptsyncctl — the operator's command line. rcptsyncctl(1)
#include <CLI/CLI.hpp>
#include <iostream>

#include "journal/journal.hpp"
#include "service/operator.hpp"

int main(int argc, char** argv) {
  using namespace rcptsync;

  service::OperatorOptions options;
  std::string config_file = "/etc/rcptsync/rcptsync.yaml";
  CLI::App app{"Shows what rcptsyncd knows and does."};
  app.add_option("--config,-c", config_file, "configuration file")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--json", options.json, "one JSON document");
  app.set_version_flag("--version", RCPTSYNC_VERSION);
  app.require_subcommand(1);
  app.fallthrough();

  auto* const status = app.add_subcommand("status", "sources, generation, held change, targets");

  std::optional<std::uint64_t> from, to;
  auto* const diff = app.add_subcommand(
      "diff",
      "added, removed and changed entries; without numbers the held change, else the last one");
  diff->add_option("FROM", from,
                   "a generation: what it changed; with TO: the difference between both");
  diff->add_option("TO", to, "a later generation");

  std::string target;
  bool access = false;
  auto* const table = app.add_subcommand("table", "the exact bytes that a target gets");
  table->add_option("--target", target,
                    "name of the target; without it the whole table in format postfix");
  table->add_flag("--access", access, "the access table, which holds the reject texts");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::exit_ok : service::exit_usage;
  }
  options.config_file = config_file;
  const auto errors = journal::create_sink(Priority::warning);
  if (*status) return service::print_status(options, std::cout, *errors);
  if (*diff) return service::print_diff(options, from, to, std::cout, *errors);
  return service::print_table(options, target, access, std::cout, *errors);
}

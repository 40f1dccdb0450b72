// rcptsyncctl — the operator's command line. rcptsyncctl(1)
#include <CLI/CLI.hpp>
#include <iostream>

#include "journal/journal.hpp"
#include "service/operator.hpp"
#include "service/prune.hpp"
#include "service/startup.hpp"

int main(int argc, char** argv) {
  using namespace rcptsync;

  bool json = false;
  std::string config_file = "/etc/rcptsync/rcptsync.yaml";
  CLI::App app{"Shows what rcptsyncd knows and does."};
  app.add_option("--config,-c", config_file, "configuration file")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--json", json, "one JSON document");
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

  std::string address;
  auto* const why = app.add_subcommand("why", "why an address is listed or not");
  why->add_option("ADDRESS", address, "with or without smtp:")->required();

  service::PruneOptions pruning;
  auto* const prune =
      app.add_subcommand("prune-directory",
                         "addresses of excluded domains that stand in the directory; --apply "
                         "removes them there");
  prune->add_option("--source", pruning.source, "only this source")->type_name("NAME");
  prune->add_option("--domain", pruning.domain, "only this one of the excluded domains");
  prune->add_option("--user", pruning.user, "bind as this account, not as that of the source");
  prune->add_option("--password-file", pruning.password_file, "its password")->type_name("FILE");
  prune->add_option("--principal", pruning.principal, "bind with Kerberos as this principal");
  prune->add_option("--keytab", pruning.keytab, "its keytab")->type_name("FILE");
  prune->add_flag("--apply", pruning.apply, "remove; without it nothing is changed");
  prune->add_flag("--include-primary", pruning.include_primary, "primary addresses too");
  prune->add_option("--limit", pruning.limit, "change at most this many objects")->type_name("N");
  prune->add_flag("--yes", pruning.yes, "do not ask");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::exit_ok : service::exit_usage;
  }
  if (*prune) {
    pruning.config_file = config_file;
    pruning.json = json;
    return service::prune_directory(pruning, std::cout, *journal::create_sink(Priority::notice));
  }
  const auto errors = journal::create_sink(Priority::warning);
  const auto opened = service::start_reader(config_file, *errors);
  if (opened.code != service::exit_ok) return opened.code;
  const service::OperatorContext context{*opened.config, opened.store.get(), *errors, json};
  if (*status) return service::print_status(context, std::cout);
  if (*diff) return service::print_diff(context, from, to, std::cout);
  if (*why) return service::print_why(context, address, std::cout);
  return service::print_table(context, target, access, std::cout);
}

// rcptsyncd — the daemon's command line. rcptsyncd(8)
#include <malloc.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <iostream>

#include "journal/journal.hpp"
#include "service/daemon.hpp"

int main(int argc, char** argv) {
  using namespace rcptsync;

  std::string config_file = "/etc/rcptsync/rcptsync.yaml";
  bool check = false, once = false, dry_run = false;
  service::DryRunOptions dry;
  auto colour = service::Colour::automatic;
  CLI::App app{"Keeps the recipient tables of mail gateways equal to the directory."};
  app.add_option("--config,-c", config_file, "configuration file")
      ->type_name("FILE")
      ->capture_default_str();
  auto* const check_flag = app.add_flag(
      "--check", check, "check configuration, keys, known_hosts and credentials; no network");
  auto* const once_flag =
      app.add_flag("--once", once, "one whole cycle, then end")->excludes(check_flag);
  auto* const dry_flag =
      app.add_flag("--dry-run", dry_run,
                   "with --once: print what a cycle would change; write nothing, push nothing")
          ->needs(once_flag);
  app.add_flag("--verbose,-v", dry.verbose, "debug lines on stderr; with --dry-run every entry");
  app.add_flag("--json", dry.json, "with --dry-run: one JSON document")->needs(dry_flag);
  app.add_option("--color", colour, "with --dry-run: auto, always or never")
      ->transform(CLI::CheckedTransformer(service::colour_names))
      ->needs(dry_flag);
  app.set_version_flag("--version", RCPTSYNC_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::exit_ok : service::exit_usage;
  }

  // What a large read or change took goes back to the system. Without these, libc raises both
  // bounds to the largest block it has seen freed, and malloc_trim(3) leaves the end of every arena
  // but the first: tens of megabytes a thread.
  constexpr int give_back_beyond = 1 << 20;
  ::mallopt(M_TRIM_THRESHOLD, give_back_beyond);
  ::mallopt(M_MMAP_THRESHOLD, give_back_beyond);
  // A peer that closes its end is an error of one write, never the end of the daemon.
  std::signal(SIGPIPE, SIG_IGN);
  if (check) return service::run_check(config_file, std::cout);
  const auto sink = journal::create_sink(dry.verbose ? Priority::debug : Priority::info);
  dry.terminal = service::Terminal::of_standard_output(colour);
  if (dry_run) return service::run_dry(config_file, dry, std::cout, *sink);
  if (once) return service::run_once(config_file, *sink);
  const auto notifier = journal::create_notifier();
  return service::run_daemon(config_file, *sink, *notifier);
}

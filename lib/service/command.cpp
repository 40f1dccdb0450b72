#include "service/command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

namespace rcptsync::service {
namespace {

using Kind = Command::Kind;

constexpr const char* targets_help = "names of targets; without: all";

/// The grammar, and what was found of it.
class Grammar {
 public:
  Grammar() {
    app_.name("rcptsyncctl");
    app_.add_option("--config,-c", config_file_, "configuration file")
        ->type_name("FILE")
        ->capture_default_str();
    app_.add_flag("--json", command_.json, "one JSON document");
    app_.add_flag("--verbose,-v", command_.verbose, "long lists in full");
    app_.add_option("--color", command_.colour, "auto, always or never")
        ->transform(CLI::CheckedTransformer(colour_names))
        ->type_name("WHEN");
    app_.set_version_flag("--version", RCPTSYNC_VERSION);
    app_.require_subcommand(1);
    app_.fallthrough();
    add_questions();
    add_orders();
    add_targets();
    add_keygen();
    add_prune();
  }

  CommandLine read(const std::vector<std::string>& words) {
    CommandLine line;
    // CLI11 takes the words from the end.
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    try {
      app_.parse(reversed);
    } catch (const CLI::ParseError& error) {
      std::ostringstream out, errors;
      line.code = app_.exit(error, out, errors) == 0 ? exit_ok : exit_usage;
      line.out = out.str();
      line.errors = errors.str();
      return line;
    }
    command_.config_file = config_file_;
    command_.key_file = key_file_;
    for (const auto& [kind, subcommand] : commands_)
      if (*subcommand) command_.kind = kind;
    line.command = command_;
    return line;
  }

 private:
  CLI::App* add(CLI::App& parent, Kind kind, const char* name, const char* help) {
    auto* const subcommand = parent.add_subcommand(name, help);
    commands_.emplace_back(kind, subcommand);
    return subcommand;
  }

  void add_questions() {
    add(app_, Kind::status, "status", "sources, generation, held change, targets");
    add(app_, Kind::history, "history", "the generations that are kept, newest first")
        ->add_option("-n,--number", command_.limit, "at most so many; 0: all")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N")
        ->capture_default_str();
    auto* const diff =
        add(app_, Kind::diff, "diff",
            "added, removed and changed entries; without numbers the held change, else what a "
            "pin keeps out, else the last one");
    diff->add_option("FROM", command_.from,
                     "a generation: what it changed; with TO: the difference between both")
        ->check(CLI::NonNegativeNumber);
    diff->add_option("TO", command_.to, "another generation")->check(CLI::NonNegativeNumber);
    diff->add_option("--target", command_.target,
                     "what the first table of this target, which is held, would take from it")
        ->type_name("NAME")
        ->excludes("FROM");
    auto* const table = add(app_, Kind::table, "table", "the exact bytes that a target gets");
    table->add_option("--target", command_.target,
                      "name of the target; without it the whole table in format postfix");
    table->add_flag("--access", command_.access, "the access table, which holds the reject texts");
    table->add_option("--generation", command_.at, "as it was in this generation")
        ->check(CLI::NonNegativeNumber)
        ->type_name("GEN");
    auto* const why = add(app_, Kind::why, "why", "why an address is listed or not");
    why->add_option("ADDRESS", command_.address, "with or without smtp:")->required();
    why->add_flag("--live", command_.live, "ask the sources now, past their filters");
  }

  void add_orders() {
    constexpr const char* digest_help = "as status shows it; its first 12 digits are enough";
    add(app_, Kind::approve, "approve", "lets exactly the held change with this digest through")
        ->add_option("DIGEST", command_.digest, digest_help)
        ->required();
    add(app_, Kind::reject, "reject", "keeps the recipients that this held change would remove")
        ->add_option("DIGEST", command_.digest, digest_help)
        ->required();
    add(app_, Kind::rollback, "rollback",
        "makes the recipients of a generation current again and pins them until resync")
        ->add_option("GENERATION", command_.generation, "its number, as diff takes it")
        ->check(CLI::NonNegativeNumber)
        ->required();
    add(app_, Kind::resync, "resync",
        "reads everything in full and pushes to every target; ends a rollback's pin");
    add(app_, Kind::poll, "poll", "reads the sources now");
    add(app_, Kind::push, "push", "pushes now to these targets, or to all that are not current")
        ->add_option("TARGET", command_.targets, targets_help);
  }

  void add_targets() {
    add(app_, Kind::verify, "verify", "reads back what the targets serve and compares")
        ->add_option("TARGET", command_.targets, targets_help);
    auto* const target = app_.add_subcommand("target", "prepares and examines one target");
    target->require_subcommand(1);
    target->fallthrough();
    add(*target, Kind::target_test, "test",
        "connects and checks what a push needs, step by step; changes nothing")
        ->add_option("NAME", command_.target, "name of the target")
        ->required();
    add(*target, Kind::target_setup, "setup",
        "prints a script of sh that prepares the target; to be run there as root")
        ->add_option("NAME", command_.target, "name of the target")
        ->required();
  }

  void add_keygen() {
    auto* const keygen =
        add(app_, Kind::keygen, "keygen", "makes the Ed25519 key pair that targets are reached by");
    keygen
        ->add_option("--file", key_file_,
                     "private key; the public one stands beside it as FILE.pub; by default where "
                     "credential:ssh-key is looked up")
        ->type_name("FILE");
    keygen->add_option("--comment", command_.key_comment, "by default rcptsync@HOST")
        ->type_name("TEXT");
  }

  void add_prune() {
    auto& pruning = command_.pruning;
    auto* const prune = add(app_, Kind::prune, "prune-directory",
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
    prune->add_option("--limit", pruning.limit, "change at most this many objects")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    prune->add_flag("--yes", pruning.yes, "do not ask");
  }

  CLI::App app_{"Shows what rcptsyncd knows and does, and tells it what to do."};
  std::string config_file_ = Command().config_file.native();
  std::string key_file_;
  Command command_;
  std::vector<std::pair<Kind, CLI::App*>> commands_;
};

}  // namespace

bool is_order(Kind kind) {
  switch (kind) {
    case Kind::approve:
    case Kind::reject:
    case Kind::rollback:
    case Kind::resync:
    case Kind::poll:
    case Kind::push:
      return true;
    default:
      return false;
  }
}

CommandLine read_command_line(const std::vector<std::string>& words) {
  return Grammar().read(words);
}

}  // namespace rcptsync::service

#include "service/prune.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"
#include "service/startup.hpp"
#include "source/prune.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;
using Domains = std::set<std::string, std::less<>>;

// Between two objects is a good place to end; in the middle of one nobody would know what was done.
volatile std::sig_atomic_t interrupted = 0;

void interrupt(int) {
  interrupted = 1;
}

struct Object {
  source::PruneObject found;
  std::vector<source::PruneValue> selected;
  bool takes_last = false;  ///< nothing is left to it
  std::optional<source::PruneOutcome> outcome;
};

struct Directory {
  const config::Source* source = nullptr;
  std::string server;
  std::string error;
  std::vector<Object> objects;
};

struct Totals {
  std::uint64_t objects = 0, values = 0, last = 0, primary = 0;
  std::uint64_t removed = 0, failed = 0, left = 0;
};

ExitCode refuse(EventSink& log, ExitCode code, std::string why) {
  log.emit({EventKind::diagnostic, Priority::error, std::move(why)});
  return code;
}

bool is_directory(const config::Source& source) {
  return std::holds_alternative<config::LdapSource>(source.details);
}

/// The excluded domains, in canonical form.
Domains excluded_domains(const config::Config& config) {
  Domains domains;
  for (const auto& exclusion : config.recipients.exclude)
    if (exclusion.kind == config::Exclusion::Kind::domain)
      domains.insert(recipient::canonical_domain(exclusion.text));
  return domains;
}

config::SecretRef secret(const std::string& written) {
  constexpr std::string_view scheme = "credential:";
  if (written.starts_with(scheme))
    return {config::SecretRef::Kind::credential, written.substr(scheme.size())};
  return {config::SecretRef::Kind::file, std::filesystem::absolute(written).native()};
}

std::optional<config::Bind> bind_of(const PruneOptions& options) {
  config::Bind bind;
  if (!options.principal.empty()) {
    bind.method = config::BindMethod::gssapi;
    bind.principal = options.principal;
    bind.keytab = secret(options.keytab);
    return bind;
  }
  if (options.user.empty()) return {};
  bind.method = config::BindMethod::simple;
  bind.user = options.user;
  bind.password = secret(options.password_file);
  return bind;
}

bool catalogue(const config::Source& source) {
  const auto& servers = std::get<config::LdapSource>(source.details).servers;
  return std::any_of(servers.begin(), servers.end(),
                     [](const config::Server& server) { return server.global_catalogue(); });
}

// What cannot be asked for; empty: nothing.
std::string wrong_usage(const PruneOptions& options) {
  if (options.user.empty() != options.password_file.empty())
    return "--user and --password-file belong together";
  if (options.principal.empty() != options.keytab.empty())
    return "--principal and --keytab belong together";
  if (!options.user.empty() && !options.principal.empty())
    return "--user and --principal are two ways to bind; name one";
  if (!options.apply) return {};
  if (options.user.empty() && options.principal.empty())
    return "--apply needs --user and --password-file (or --principal and --keytab): an account "
           "that "
           "may write; the one that only reads is not used for it";
  if (!options.yes && ::isatty(STDIN_FILENO) == 0)
    return "there is no terminal to ask at; look at the list first, then add --yes";
  return {};
}

void choose(Object& object, bool include_primary) {
  for (const auto& value : object.found.values)
    if (include_primary || !value.primary) object.selected.push_back(value);
  object.takes_last =
      object.found.others == 0 && object.selected.size() == object.found.values.size();
}

Directory look(const config::Source& source, const PruneOptions& options, const Domains& domains) {
  Directory directory;
  directory.source = &source;
  auto pruner = source::Pruner::open(source, bind_of(options), {}, {});
  if (!pruner) {
    directory.error = pruner.error().message;
    return directory;
  }
  directory.server = (*pruner)->server();
  auto found = (*pruner)->find(domains);
  if (!found) {
    directory.error = found.error().message;
    return directory;
  }
  for (auto& object : *found) {
    directory.objects.push_back({std::move(object), {}, false, {}});
    choose(directory.objects.back(), options.include_primary);
  }
  return directory;
}

Totals count(const std::vector<Directory>& directories) {
  Totals totals;
  for (const auto& directory : directories)
    for (const auto& object : directory.objects) {
      totals.primary += object.found.values.size() - object.selected.size();
      if (object.selected.empty()) continue;
      ++totals.objects;
      totals.values += object.selected.size();
      totals.last += object.takes_last;
      if (!object.outcome)
        ++totals.left;
      else if (object.outcome->kind == source::PruneOutcome::Kind::removed)
        ++totals.removed;
      else
        ++totals.failed;
    }
  return totals;
}

bool chosen(const Object& object, const source::PruneValue& value) {
  return std::any_of(object.selected.begin(), object.selected.end(), [&](const auto& one) {
    return one.attribute == value.attribute && one.text == value.text;
  });
}

void print_list(std::ostream& out, const std::vector<Directory>& directories) {
  for (const auto& directory : directories) {
    if (!directory.error.empty()) continue;
    fmt::print(out, "source {} ({})\n", directory.source->name, escape(directory.server));
    if (directory.objects.empty()) fmt::print(out, "  nothing\n");
    for (const auto& object : directory.objects) {
      fmt::print(out, "  {} ({}){}\n", escape(object.found.dn, object.found.dn.size()),
                 to_string(object.found.kind),
                 object.takes_last ? ", which would have no address left" : "");
      for (const auto& value : object.found.values)
        fmt::print(out, "    {:<16} {}{}\n", value.attribute, escape(value.text, value.text.size()),
                   chosen(object, value) ? "" : "   stays: primary address (--include-primary)");
    }
  }
}

std::string_view word(source::PruneOutcome::Kind kind) {
  switch (kind) {
    case source::PruneOutcome::Kind::removed:
      return "removed";
    case source::PruneOutcome::Kind::changed:
      return "changed";
    case source::PruneOutcome::Kind::refused:
    case source::PruneOutcome::Kind::stopped:
      return "refused";
  }
  return "";
}

void print_json(std::ostream& out, const std::vector<Directory>& directories,
                const Domains& domains, bool applied) {
  const auto totals = count(directories);
  json document = {{"applied", applied},
                   {"domains", domains},
                   {"objects", totals.objects},
                   {"values", totals.values},
                   {"primary_kept", totals.primary},
                   {"removed", totals.removed},
                   {"failed", totals.failed},
                   {"sources", json::array()}};
  for (const auto& directory : directories) {
    json objects = json::array();
    for (const auto& object : directory.objects) {
      json values = json::array();
      for (const auto& value : object.found.values)
        values.push_back({{"attribute", value.attribute},
                          {"value", value.text},
                          {"address", value.address},
                          {"primary", value.primary},
                          {"selected", chosen(object, value)}});
      objects.push_back(
          {{"dn", object.found.dn},
           {"class", to_string(object.found.kind)},
           {"takes_last", object.takes_last},
           {"result", object.outcome ? json(word(object.outcome->kind)) : json(nullptr)},
           {"error", object.outcome && !object.outcome->why.empty() ? json(object.outcome->why)
                                                                    : json(nullptr)},
           {"values", std::move(values)}});
    }
    document["sources"].push_back(
        {{"name", directory.source->name},
         {"server", directory.server.empty() ? json(nullptr) : json(directory.server)},
         {"error", directory.error.empty() ? json(nullptr) : json(directory.error)},
         {"objects", std::move(objects)}});
  }
  out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

bool confirmed(const Totals& totals, const PruneOptions& options) {
  if (options.yes) return true;
  fmt::print(std::cerr,
             "Remove {} from {} as {}? {} would have no address "
             "left.\nThere is no way back but a backup of the directory. Type yes: ",
             counted(totals.values, "value"),
             counted(std::min(totals.objects, options.limit), "object"),
             escape(options.user.empty() ? options.principal : options.user),
             counted(totals.last, "object"));
  std::cerr.flush();
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

void tell(EventSink& log, const Directory& directory, const Object& object) {
  const auto dn = escape(object.found.dn, object.found.dn.size());
  const auto emit = [&](Priority priority, std::string message) {
    Event event{EventKind::diagnostic, priority, std::move(message)};
    event.source = directory.source->name;
    log.emit(event);
  };
  if (object.outcome->kind != source::PruneOutcome::Kind::removed)
    return emit(Priority::error,
                fmt::format("{}: nothing was removed: {}", dn, object.outcome->why));
  for (const auto& value : object.selected)
    emit(Priority::notice, fmt::format("{}: removed {}: {}", dn, value.attribute,
                                       escape(value.text, value.text.size())));
  if (object.takes_last) emit(Priority::notice, fmt::format("{}: has no address any more", dn));
}

// Removes object by object until all is done, the limit is reached, or an error would come again.
// False: it ended early.
bool apply(Directory& directory, const PruneOptions& options, std::uint64_t& budget,
           EventSink& log) {
  if (std::all_of(directory.objects.begin(), directory.objects.end(),
                  [](const Object& object) { return object.selected.empty(); }))
    return true;
  auto pruner = source::Pruner::open(*directory.source, bind_of(options), directory.server, {});
  if (!pruner) {
    directory.error = pruner.error().message;
    refuse(log, exit_failed, fmt::format("source {}: {}", directory.source->name, directory.error));
    return false;
  }
  for (auto& object : directory.objects) {
    if (object.selected.empty()) continue;
    if (budget == 0) return true;
    if (interrupted != 0) {
      refuse(log, exit_failed, "interrupted; what was removed stands above");
      return false;
    }
    --budget;
    auto outcome = (*pruner)->remove(object.found, object.selected);
    if (!outcome) {
      object.outcome = {
          source::PruneOutcome::Kind::stopped,
          fmt::format("{}; whether it was done is not known", outcome.error().message)};
    } else {
      object.outcome = std::move(*outcome);
    }
    tell(log, directory, object);
    if (object.outcome->kind == source::PruneOutcome::Kind::stopped) {
      refuse(log, exit_failed, "stopped: the next object would end the same way");
      return false;
    }
  }
  return true;
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

ExitCode prune_directory(const PruneOptions& options, std::ostream& out, EventSink& log) {
  const auto config = load_configuration(options.config_file, log);
  if (!config) return exit_configuration;
  if (auto wrong = wrong_usage(options); !wrong.empty())
    return refuse(log, exit_usage, std::move(wrong));

  auto domains = excluded_domains(*config);
  if (!options.domain.empty()) {
    const auto domain = recipient::canonical_domain(
        options.domain.starts_with('@') ? options.domain.substr(1) : options.domain);
    if (!domains.contains(domain))
      return refuse(
          log, exit_usage,
          fmt::format("--domain {}: recipients.exclude has no @{}", escape(options.domain),
                      escape(domain.empty() ? options.domain : domain)));
    domains = {domain};
  }
  if (domains.empty())
    return refuse(log, exit_usage,
                  "recipients.exclude names no @domain, so there is nothing to "
                  "look for");

  std::vector<const config::Source*> sources;
  for (const auto& source : config->sources)
    if (is_directory(source) && (options.source.empty() || source.name == options.source))
      sources.push_back(&source);
  if (sources.empty())
    return refuse(log, exit_usage,
                  options.source.empty()
                      ? std::string("no source is a directory")
                      : fmt::format("no source of type active-directory or ldap is named {}",
                                    escape(options.source)));
  if (options.apply)
    for (const auto* source : sources)
      if (catalogue(*source))
        return refuse(log, exit_usage,
                      fmt::format("source {} reads the global catalogue, which nobody can write; "
                                  "name another one with --source",
                                  source->name));

  std::vector<Directory> directories;
  bool whole = true;
  for (const auto* source : sources) {
    directories.push_back(look(*source, options, domains));
    const auto& error = directories.back().error;
    if (error.empty()) continue;
    whole = false;
    refuse(log, exit_failed, fmt::format("source {}: {}", source->name, error));
  }

  if (!options.json) print_list(out, directories);
  out.flush();
  const auto planned = count(directories);
  bool applied = false;
  if (options.apply && planned.values > 0) {
    if (!confirmed(planned, options)) return refuse(log, exit_failed, "nothing was removed");
    applied = true;
    catch_signals();
    auto budget = options.limit;
    for (auto& directory : directories)
      if (directory.error.empty() && !apply(directory, options, budget, log)) {
        whole = false;
        break;
      }
  }

  const auto totals = count(directories);
  if (options.json) {
    print_json(out, directories, domains, applied);
  } else {
    fmt::print(out, "{} of {} {} removed", counted(totals.values, "value"),
               counted(totals.objects, "object"),
               options.apply ? plural(totals.values, "was to be", "were to be") : "would be");
    if (totals.primary > 0)
      fmt::print(out, "; {} {}", counted(totals.primary, "primary address", "primary addresses"),
                 plural(totals.primary, "stays", "stay"));
    if (applied)
      fmt::print(out, "\n{} done, {} not, {} left for another time\n",
                 counted(totals.removed, "object"), totals.failed, totals.left);
    else
      fmt::print(
          out, "\n{}\n",
          options.apply ? "there was nothing to do" : "nothing was changed; --apply removes them");
  }
  out.flush();
  return whole && totals.failed == 0 && out ? exit_ok : exit_failed;
}

}  // namespace rcptsync::service

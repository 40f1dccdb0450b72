// check — everything that can be known to be wrong before a network is touched.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <ostream>

#include "base/plural.hpp"
#include "config/load.hpp"
#include "push/push.hpp"
#include "recipient/rules.hpp"
#include "service/daemon.hpp"
#include "service/program.hpp"
#include "source/source.hpp"

namespace rcptsync::service {

ExitCode run_check(const std::filesystem::path& config_file, std::ostream& out) {
  auto loaded = config::load(config_file);
  const auto add = [&](int line, const std::string& key, const std::string& what) {
    loaded.faults.push_back({config_file.native(), line, key, what, false});
  };
  if (loaded.usable()) {
    if (auto started = push::initialize(); !started) add(0, "", started.error().message);
    if (auto rules = recipient::Rules::compile(loaded.config.recipients); !rules)
      add(0, "recipients", rules.error().message);
    for (const auto& source : loaded.config.sources)
      for (const auto& what : source::check_source(source))
        add(source.line, "sources." + source.name, what);
    for (const auto& target : loaded.config.targets)
      for (const auto& what : push::check_target(target))
        add(target.line, "targets." + target.name, what);
    if (const auto& notify = loaded.config.notify; !notify.command.empty())
      if (auto runs = check_program(notify.command.front()); !runs)
        add(notify.line, "notify.command", runs.error().message);
    if (const std::filesystem::path file = loaded.config.metrics_file;
        !file.empty() && !std::filesystem::is_directory(file.parent_path()))
      add(0, "metrics_file", fmt::format("there is no folder {}", file.parent_path().native()));
  }
  bool wrong = false;
  for (const auto& fault : loaded.faults) {
    wrong = wrong || !fault.warning;
    fmt::print(out, "{}{}\n", fault.text(), fault.warning ? " (warning)" : "");
  }
  if (!wrong)
    fmt::print(out, "{}: {}, {}: no faults\n", config_file.native(),
               counted(loaded.config.sources.size(), "source"),
               counted(loaded.config.targets.size(), "target"));
  return wrong ? exit_configuration : exit_ok;
}

}  // namespace rcptsync::service

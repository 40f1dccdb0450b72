#include "service/tool.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <utility>

#include "base/escape.hpp"
#include "config/load.hpp"
#include "journal/journal.hpp"
#include "service/answer.hpp"
#include "service/as_owner.hpp"
#include "service/command.hpp"
#include "service/control_client.hpp"
#include "service/examine.hpp"
#include "service/give_order.hpp"
#include "service/keygen.hpp"
#include "service/startup.hpp"

namespace rcptsync::service {
namespace {

using Kind = Command::Kind;

// Who gives an order, for the log and the history.
std::string who() {
  const auto* account = ::getpwuid(::geteuid());
  auto name = account == nullptr ? fmt::format("uid {}", ::geteuid()) : escape(account->pw_name);
  const char* before = ::geteuid() == 0 ? std::getenv("SUDO_USER") : nullptr;
  return before == nullptr ? name : fmt::format("{} (by sudo as {})", escape(before, 40), name);
}

// Root, or the account that owns the state. A state that is not there yet belongs to nobody.
bool owns(const std::filesystem::path& state_dir) {
  if (::geteuid() == 0) return true;
  struct stat status {};
  return ::stat(state_dir.c_str(), &status) != 0 ? errno == ENOENT : status.st_uid == ::geteuid();
}

/// One call of the tool.
class Tool {
 public:
  Tool(const std::vector<std::string>& words, const Command& command, std::ostream& out)
      : command_(command), out_(out) {
    request_.words = words;
    std::error_code ignored;
    request_.config_file = std::filesystem::absolute(command.config_file, ignored).native();
    const auto terminal = Terminal::of_standard_output(command.colour);
    request_.width = terminal.width;
    request_.colour = terminal.colour;
  }

  int run() {
    if (command_.kind == Kind::keygen)
      return make_key(command_.key_file, command_.key_comment, command_.json, out_, *errors_);
    if (command_.kind == Kind::prune) {
      auto pruning = command_.pruning;
      pruning.config_file = command_.config_file;
      pruning.json = command_.json;
      return prune_directory(pruning, out_, *journal::create_sink(Priority::notice));
    }
    // Without the right to read the file its faults mean nothing; the daemon knows what it says.
    if (::access(command_.config_file.c_str(), R_OK) != 0 && errno == EACCES) return ask();
    auto loaded = config::load(command_.config_file);
    const auto state_dir = std::filesystem::absolute(loaded.config.state_dir).lexically_normal();
    if (!owns(state_dir)) {
      request_.state_dir = state_dir.native();
      return ask();
    }
    const auto opened = open_state(std::move(loaded), state_dir);
    if (opened.code != exit_ok) return opened.code;
    request_.state_dir = state_dir.native();
    const OperatorContext context{*opened.config,  opened.store.get(), *errors_,
                                  command_.json,   request_.width,     request_.colour,
                                  command_.verbose};
    if (is_order(command_.kind)) return order(context);
    if (needs_targets(command_.kind)) return examine_targets(context);
    if (needs_secrets()) return answer(command_, context, out_);
    const auto rights = AsOwner::of(state_dir);
    return rights ? answer(command_, context, out_) : fail(rights.error().message);
  }

 private:
  Startup open_state(config::Loaded loaded, const std::filesystem::path& state_dir) {
    const auto rights = AsOwner::of(state_dir);
    if (rights) return start_reader(std::move(loaded), *errors_);
    Startup startup;
    startup.code = static_cast<ExitCode>(fail(rights.error().message));
    return startup;
  }

  // Passwords and keys that only root may read; of the state these read what is open already.
  [[nodiscard]] bool needs_secrets() const {
    return command_.kind == Kind::target_setup || (command_.kind == Kind::why && command_.live);
  }

  // Saved with the rights of the account that owns the state, in the name of who gave it.
  Result<std::string> save(const OperatorContext& context) {
    const auto by = who();
    const auto rights = AsOwner::of(context.config.state_dir);
    if (!rights) return rights.error();
    return give_order(command_, context, by, out_);
  }

  // The daemon answers for somebody who may not read the state.
  int ask() {
    const auto asked = ask_daemon(request_, out_, *errors_);
    if (asked) return *asked;
    const auto& error = asked.error();
    switch (error.code) {
      case Errc::not_found:
        return fail(
            "no rcptsyncd listens here for members of its group, and only root and the account "
            "that owns the state may read it: start the daemon, or run this as root");
      case Errc::permission:
        return fail(error.message +
                    ": only root, the account that owns the state and members of its group may "
                    "ask; usermod -aG rcptsync USER makes a member, from the next login on");
      default:
        return fail(error.message);
    }
  }

  int order(const OperatorContext& context) {
    const auto given = save(context);
    if (!given) return fail(given.error().message);
    out_.flush();
    auto nudge = request_;
    nudge.words.clear();
    nudge.order = *given;
    const auto asked = ask_daemon(nudge, out_, *errors_);
    if (asked) return *asked;
    const auto code = asked.error().code;
    if (code == Errc::not_found) {
      out_ << "No rcptsyncd runs: the order is kept, and carried out when it starts next, or by "
              "rcptsyncd --once.\n";
    } else {
      out_ << "The order is kept and will be carried out, but the daemon did not say so:\n";
      errors_->emit({EventKind::diagnostic, Priority::warning, asked.error().message});
    }
    return exit_ok;
  }

  // The daemon has the credentials, wherever they come from. Without one our own have to do.
  int examine_targets(const OperatorContext& context) {
    const auto asked = ask_daemon(request_, out_, *errors_);
    if (asked) return *asked;
    const auto code = asked.error().code;
    if (code != Errc::not_found && code != Errc::permission && code != Errc::foreign)
      return fail(asked.error().message);
    return examine_now(command_, context, out_);
  }

  int fail(std::string message) {
    errors_->emit({EventKind::diagnostic, Priority::error, std::move(message)});
    return exit_failed;
  }

  const Command& command_;
  std::ostream& out_;
  std::unique_ptr<EventSink> errors_ = journal::create_sink(Priority::warning);
  Request request_;
};

}  // namespace

int run_tool(const std::vector<std::string>& words, std::ostream& out) {
  const auto line = read_command_line(words);
  if (!line.command) {
    out << line.out;
    std::cerr << line.errors;
    return line.code;
  }
  const auto code = Tool(words, *line.command, out).run();
  out.flush();
  return out ? code : exit_failed;
}

}  // namespace rcptsync::service

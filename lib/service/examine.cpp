#include "service/examine.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <vector>

#include "base/escape.hpp"
#include "push/examine.hpp"
#include "push/push.hpp"
#include "service/location.hpp"
#include "service/offload.hpp"
#include "service/target_setup.hpp"
#include "service/target_tables.hpp"
#include "service/terminal.hpp"

namespace rcptsync::service {
namespace {

namespace asio = boost::asio;
using nlohmann::json;

void rethrow(std::exception_ptr failure) {
  if (failure) std::rethrow_exception(failure);
}

ExitCode fail(const OperatorContext& context, const Error& error) {
  context.errors.emit({EventKind::diagnostic, Priority::error, error.message});
  return exit_failed;
}

std::string dump(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

/// What one target should serve, and what it does.
struct Examined {
  const config::Target* target = nullptr;
  std::uint64_t generation = 0;
  recipient::Tables wanted;  ///< digests and sizes only
  Result<push::Served> served = Error{};

  [[nodiscard]] bool recipients_right() const {
    return served->recipients.state.digest == wanted.recipients.digest &&
           served->recipients.state.whole;
  }
  [[nodiscard]] bool access_right() const {
    if (!served->access) return !wanted.has_access;
    const auto expected = wanted.has_access ? wanted.access.digest : sha256("");
    return served->access->state.digest == expected && served->access->state.whole;
  }
  [[nodiscard]] bool right() const {
    return served && recipients_right() && access_right() && served->faults.empty();
  }
};

// `digest_only`: without the bytes.
Result<TargetTables> wanted_of(const OperatorContext& context, const config::Target& target,
                               bool digest_only) {
  if (context.store == nullptr)
    return Error{Errc::not_found, fmt::format("{} holds no state yet: rcptsyncd has not run here",
                                              context.config.state_dir.native())};
  auto settings = table_settings(context.config, target);
  settings.digest_only = digest_only;
  Result<TargetTables> made = Error{};
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    const auto record = view.target(target.name);
    if (!record) return record.error();
    // As a push does: one that ever had an access table keeps getting it.
    if (*record && (*record)->location == location_of(target) &&
        (*record)->access_digest != Digest{})
      settings.with_access = true;
    made = make_target_tables(view, settings);
    return {};
  });
  if (!read) return read.error();
  return made;
}

std::string differences(const Examined& one, const Terminal& terminal) {
  const auto& served = *one.served;
  std::string text;
  const auto add = [&](std::string_view line) { text += terminal.wrapped(line, 2); };
  const auto table = [&](std::string_view name, const push::ServedTable& held,
                         const recipient::File& wanted) {
    if (!held.state.digest)
      add(fmt::format("{}: not there", name));
    else if (held.state.digest != wanted.digest)
      add(fmt::format("{}: {} entries, digest {}; it should be {}, digest {}", name, held.entries,
                      held.state.digest->brief(), wanted.entries, wanted.digest.brief()));
    else if (!held.state.whole)
      add(fmt::format("{}: its index is missing or a push was cut off", name));
  };
  if (!one.recipients_right()) table("table", served.recipients, one.wanted.recipients);
  if (!one.access_right()) {
    if (served.access)
      table("access table", *served.access, one.wanted.access);
    else
      add("access table: not there");
  }
  for (const auto& fault : served.faults) add(fault);
  return text;
}

void print_verified(std::ostream& out, const Examined& one, const Terminal& terminal) {
  const auto& name = one.target->name;
  const auto line = [&](std::string_view text, std::size_t indent) {
    out << terminal.wrapped(text, indent);
  };
  if (!one.served)
    return line(fmt::format("{}: cannot be asked: {}", name, one.served.error().message), 0);
  if (one.right()) {
    line(fmt::format("{}: serves generation {}: {} entries, digest {}{}", name, one.generation,
                     one.served->recipients.entries, one.wanted.recipients.digest.brief(),
                     one.served->map_type.empty() ? "" : ", " + one.served->map_type),
         0);
  } else {
    line(fmt::format("{}: does not serve generation {}; `rcptsyncctl push {}` mends it", name,
                     one.generation, name),
         0);
    out << differences(one, terminal);
  }
  for (const auto& warning : one.served->warnings) line("warning: " + warning, 2);
}

json verified_json(const Examined& one) {
  json document = {{"name", one.target->name},
                   {"right", one.right()},
                   {"generation", one.generation},
                   {"entries", one.wanted.recipients.entries},
                   {"digest", one.wanted.recipients.digest.hex()},
                   {"served_entries", nullptr},
                   {"served_digest", nullptr},
                   {"map_type", nullptr},
                   {"faults", json::array()},
                   {"warnings", json::array()},
                   {"error", nullptr}};
  if (!one.served) {
    document["error"] = one.served.error().message;
    return document;
  }
  const auto& served = *one.served;
  if (served.recipients.state.digest) {
    document["served_entries"] = served.recipients.entries;
    document["served_digest"] = served.recipients.state.digest->hex();
  }
  if (!served.map_type.empty()) document["map_type"] = served.map_type;
  document["faults"] = served.faults;
  document["warnings"] = served.warnings;
  return document;
}

asio::awaitable<void> look_at(Examined& one) {
  auto served = co_await push::look(*one.target, one.wanted.has_access);
  one.served = std::move(served);
}

/// Looks at all of them, so many at the same time.
asio::awaitable<void> look_at_all(std::vector<Examined>& all, std::size_t parallel) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer ended(executor, asio::steady_timer::time_point::max());
  std::size_t next = 0, running = 0;
  while (next < all.size() || running > 0) {
    for (; next < all.size() && running < parallel; ++next, ++running) {
      auto done = [&running, &ended](std::exception_ptr failure) {
        --running;
        ended.cancel();
        rethrow(failure);
      };
      asio::co_spawn(executor, look_at(all[next]), done);
    }
    boost::system::error_code ignored;
    co_await ended.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<ExitCode> verify(const Command& command, const OperatorContext& context,
                                 asio::thread_pool& worker, std::ostream& out) {
  std::vector<Examined> all;
  for (const auto& target : context.config.targets)
    if (command.targets.empty() && target.enabled) all.push_back({&target, 0, {}, Error{}});
  for (const auto& name : command.targets) {
    const auto found = find_target(context.config, name);
    if (!found) co_return fail(context, found.error());
    all.push_back({*found, 0, {}, Error{}});
  }
  auto make = [&]() -> Result<> {
    for (auto& one : all) {
      auto tables = wanted_of(context, *one.target, true);
      if (!tables) return tables.error();
      if (tables->generation == 0) return Error{Errc::not_found, "there is no table yet"};
      one.generation = tables->generation;
      one.wanted = std::move(tables->tables);
    }
    return {};
  };
  const auto made = co_await offload(worker, make);
  if (!made) co_return fail(context, made.error());
  co_await look_at_all(all, context.config.rollout.parallel);

  if (context.json) {
    json targets = json::array();
    for (const auto& one : all) targets.push_back(verified_json(one));
    out << dump({{"targets", targets}});
  } else {
    for (const auto& one : all) print_verified(out, one, {context.width, context.colour});
  }
  const bool right =
      std::all_of(all.begin(), all.end(), [](const auto& one) { return one.right(); });
  co_return right ? exit_ok : exit_failed;
}

std::string_view to_string(push::ProbeStep::Verdict verdict) {
  switch (verdict) {
    case push::ProbeStep::Verdict::passed:
      return "ok";
    case push::ProbeStep::Verdict::warning:
      return "warning";
    case push::ProbeStep::Verdict::failed:
      return "failed";
  }
  return "unknown";
}

/// The verdict stands in a column of its own.
void print_step(std::ostream& out, const push::ProbeStep& step, const Terminal& terminal) {
  constexpr std::size_t column = 9;
  auto lines = terminal.wrapped(fmt::format("{}: {}", step.name, step.found), column);
  out << lines.replace(0, column, fmt::format("{:<{}}", to_string(step.verdict), column));
}

asio::awaitable<ExitCode> test(const Command& command, const OperatorContext& context,
                               asio::thread_pool& worker, std::ostream& out) {
  const auto found = find_target(context.config, command.target);
  if (!found) co_return fail(context, found.error());
  const auto& target = **found;
  // Without a state yet the size of the tables is not known, and needs little room then.
  auto make = [&]() { return wanted_of(context, target, false); };
  const auto wanted = co_await offload(worker, make);
  const bool has_access =
      wanted ? wanted->tables.has_access : table_settings(context.config, target).with_access;
  const std::uint64_t bytes =
      wanted ? wanted->tables.recipients.bytes.size() + wanted->tables.access.bytes.size() : 0;
  const auto steps = co_await push::probe(target, bytes, has_access);
  const bool failed = std::any_of(steps.begin(), steps.end(), [](const auto& step) {
    return step.verdict == push::ProbeStep::Verdict::failed;
  });
  if (context.json) {
    json list = json::array();
    for (const auto& step : steps)
      list.push_back(
          {{"step", step.name}, {"result", to_string(step.verdict)}, {"found", step.found}});
    out << dump({{"target", target.name}, {"ready", !failed}, {"steps", list}});
  } else {
    const Terminal terminal{context.width, context.colour};
    for (const auto& step : steps) print_step(out, step, terminal);
    out << terminal.wrapped(target.name + (failed ? " is not ready for a push"
                                                  : " is ready for a push; nothing was changed"),
                            0);
  }
  co_return failed ? exit_failed : exit_ok;
}

}  // namespace

bool needs_targets(Command::Kind kind) {
  return kind == Command::Kind::verify || kind == Command::Kind::target_test;
}

asio::awaitable<ExitCode> examine(const Command& command, const OperatorContext& context,
                                  asio::thread_pool& worker, std::ostream& out) {
  if (command.kind == Command::Kind::target_test)
    co_return co_await test(command, context, worker, out);
  co_return co_await verify(command, context, worker, out);
}

ExitCode examine_now(const Command& command, const OperatorContext& context, std::ostream& out) {
  if (auto ready = push::initialize(); !ready) return fail(context, ready.error());
  asio::io_context io{1};
  asio::thread_pool worker(1);
  auto code = exit_failed;
  auto run = [&]() -> asio::awaitable<void> {
    code = co_await examine(command, context, worker, out);
  };
  asio::co_spawn(io, run, rethrow);
  io.run();
  worker.join();
  return code;
}

}  // namespace rcptsync::service

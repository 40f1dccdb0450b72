#include "push/examine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <memory>

#include "base/escape.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "push/connect.hpp"
#include "push/resolve.hpp"
#include "push/session.hpp"

namespace rcptsync::push {
namespace {

namespace asio = boost::asio;

template <class T = void>
using Async = asio::awaitable<Result<T>>;

constexpr std::size_t words_limit = 64U << 10;
constexpr std::size_t shown = 600;

using Verdict = ProbeStep::Verdict;

std::vector<std::string> question(std::string verb, const config::Target& target) {
  return {std::move(verb), target.path, target.postfix_config,
          std::string(config::to_string(target.format)),
          std::string(config::to_string(target.map_type))};
}

Error late(Error error, const config::Target& target) {
  if (error.code == Errc::timeout) error.message += fmt::format(" ({} s)", target.timeout.count());
  return error;
}

/// Goes through the steps of a probe. What it has found stays when a step fails.
class Prober {
 public:
  Prober(const config::Target& target, std::uint64_t bytes, bool has_access,
         asio::any_io_executor executor)
      : target_(target),
        bytes_(bytes),
        has_access_(has_access),
        executor_(std::move(executor)),
        deadline_(system_clock().steady() + target.timeout) {}

  asio::awaitable<std::vector<ProbeStep>> run() {
    const auto done = co_await story();
    if (!done) steps_.push_back({Verdict::failed, step_, late(done.error(), target_).message});
    co_return std::move(steps_);
  }

 private:
  Async<> story() {
    step_ = "settings";
    if (target_.mode != config::Mode::scp)
      co_return Error{Errc::invalid, "mode: receive is not built into this version; use scp"};
    if (!usable_path(target_.path)) co_return unusable_path(target_.path);
    step_ = "resolve";
    const auto endpoints = co_await resolve(executor_, target_.host, target_.port, deadline_);
    if (!endpoints) co_return endpoints.error();
    std::string addresses;
    for (const auto& endpoint : *endpoints)
      addresses += (addresses.empty() ? "" : ", ") + endpoint.address().to_string();
    pass(step_, fmt::format("{} is {}", target_.host, addresses));

    std::vector<std::string> warnings;
    auto connected = co_await connect(
        executor_, target_, deadline_, step_, warnings,
        [this](std::string_view step, std::string found) { pass(step, std::move(found)); });
    for (auto& warning : warnings) warn("key", std::move(warning));
    if (!connected) co_return connected.error();

    step_ = "shell";
    auto arguments = question("probe", target_);
    arguments.emplace_back(has_access_ ? "yes" : "no");
    arguments.push_back(std::to_string(bytes_));
    arguments.push_back(target_.rebuild);
    const auto mark = random_hex(system_random(), 8);
    const auto input = recipe_input(mark, arguments);
    std::string command(recipe_command);
    const auto output = co_await (*connected)->run(std::move(command), input, words_limit);
    if (!output) co_return output.error();
    take_answers(*output, mark);
    const auto answers = parse_answers(*output, mark);
    if (!answers) co_return answers.error();
    co_return Result<>{};
  }

  // The steps that the recipe went through, also if it failed in one.
  void take_answers(const CommandOutput& output, std::string_view mark) {
    const auto begin = std::string(mark) + " ";
    std::string_view rest = output.out;
    for (auto at = rest.find(begin); at != rest.npos; at = rest.find(begin)) {
      rest.remove_prefix(at + begin.size());
      const auto line = rest.substr(0, rest.find('\n'));
      const auto equals = line.find('=');
      if (equals == line.npos) continue;
      const auto key = line.substr(0, equals);
      const auto value = escape(line.substr(equals + 1), shown);
      if (key == "trying")
        step_ = value;
      else if (key == "passed")
        pass(step_, value);
      else if (key == "warning")
        warn(step_, value);
    }
  }

  void pass(std::string_view step, std::string found) {
    steps_.push_back({Verdict::passed, std::string(step), std::move(found)});
  }
  void warn(std::string_view step, std::string found) {
    steps_.push_back({Verdict::warning, std::string(step), std::move(found)});
  }

  const config::Target& target_;
  std::uint64_t bytes_;
  bool has_access_;
  asio::any_io_executor executor_;
  SteadyTime deadline_;
  std::string step_;
  std::vector<ProbeStep> steps_;
};

Result<ServedTable> parse_served(const Answers& answers, const std::string& prefix,
                                 const TableState& state) {
  ServedTable table{state, 0};
  if (!state.digest) return table;
  const auto entries = answers.get(prefix + "entries");
  const auto [end, error] =
      std::from_chars(entries.data(), entries.data() + entries.size(), table.entries);
  if (error != std::errc{} || end != entries.data() + entries.size())
    return Error{Errc::protocol,
                 fmt::format("the recipe answered {}entries={}", prefix, escape(entries))};
  return table;
}

Async<Served> ask(const config::Target& target, bool has_access, asio::any_io_executor executor,
                  std::string& step) {
  step = "settings";
  if (target.mode != config::Mode::scp)
    co_return Error{Errc::invalid, "mode: receive is not built into this version; use scp"};
  if (!usable_path(target.path)) co_return unusable_path(target.path);
  Served served;
  const auto deadline = system_clock().steady() + target.timeout;
  auto session = co_await connect(executor, target, deadline, step, served.warnings);
  if (!session) co_return session.error();
  step = "verify " + target.path;
  auto arguments = question("verify", target);
  arguments.emplace_back(has_access ? "yes" : "no");
  arguments.push_back(target.rebuild);
  const auto mark = random_hex(system_random(), 8);
  const auto input = recipe_input(mark, arguments);
  std::string command(recipe_command);
  const auto output = co_await (*session)->run(std::move(command), input, words_limit);
  if (!output) co_return output.error();
  const auto answers = parse_answers(*output, mark);
  if (!answers) co_return answers.error();
  auto seen = parse_look(*answers);
  if (!seen) co_return seen.error();
  auto recipients = parse_served(*answers, "", seen->recipients);
  if (!recipients) co_return recipients.error();
  served.recipients = *recipients;
  if (seen->access) {
    auto access = parse_served(*answers, "access_", *seen->access);
    if (!access) co_return access.error();
    served.access = *access;
  }
  for (const auto& [key, value] : answers->values)
    if (key == "wrong") served.faults.push_back(escape(value, shown));
  served.map_type = std::move(seen->map_type);
  served.warnings.insert(served.warnings.end(), seen->warnings.begin(), seen->warnings.end());
  co_return served;
}

}  // namespace

asio::awaitable<std::vector<ProbeStep>> probe(const config::Target& target, std::uint64_t bytes,
                                              bool has_access) {
  const auto executor = co_await asio::this_coro::executor;
  Prober prober(target, bytes, has_access, executor);
  co_return co_await prober.run();
}

asio::awaitable<Result<Served>> look(const config::Target& target, bool has_access) {
  const auto executor = co_await asio::this_coro::executor;
  std::string step;
  auto served = co_await ask(target, has_access, executor, step);
  if (served) co_return served;
  co_return late(served.error(), target).within(fmt::format("{}: {}", target.host, step));
}

}  // namespace rcptsync::push

// push_once — pushes one table to the targets that its arguments describe, and prints what came of
// each. For tests of lib/push against real servers, and for measuring it.
//
//   push_once [--force] [--believed HEX] [--judge accept|refuse] [--access FILE] TABLE TARGET…
//   push_once --only-send TABLE TARGET…     copies it to the target's path and does nothing else
//
// TARGET is a JSON object with the keys of a target in rcptsync.yaml that matter to a push; all run
// at the same time on one thread. Output: one line of JSON for each target when it is done. Exit
// status: 0 if every push succeeded or was held, 1 if one failed, 2 for a wrong call.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "base/time.hpp"
#include "push/connect.hpp"
#include "push/push.hpp"

namespace {

using nlohmann::json;
using namespace rcptsync;

constexpr std::size_t table_limit = std::size_t{2} << 30;

config::Format format_from(const std::string& name) {
  for (const auto format : {config::Format::postfix, config::Format::postfix_access,
                            config::Format::exim, config::Format::list})
    if (config::to_string(format) == name) return format;
  throw std::invalid_argument("format " + name);
}

config::MapType map_type_from(const std::string& name) {
  for (const auto type : {config::MapType::automatic, config::MapType::lmdb, config::MapType::cdb,
                          config::MapType::hash, config::MapType::texthash})
    if (config::to_string(type) == name) return type;
  throw std::invalid_argument("map_type " + name);
}

config::Target target_from(const std::string& text) {
  const auto from = json::parse(text);
  config::Target target;
  target.host = from.value("host", "127.0.0.1");
  target.name = from.value("name", target.host);
  target.port = from.value("port", std::uint16_t{22});
  target.user = from.value("user", "root");
  target.path = from.value("path", "");
  target.format = format_from(from.value("format", "postfix"));
  target.map_type = map_type_from(from.value("map_type", "auto"));
  target.rebuild = from.value("rebuild", "");
  target.postfix_config = from.value("postfix_config", "/etc/postfix");
  target.known_hosts = from.value("known_hosts", "/nonexistent");
  target.source_address = from.value("source_address", "");
  target.timeout = std::chrono::seconds(from.value("timeout", 60));
  target.host_keys = from.value("host_key", std::vector<std::string>{});
  for (const auto& file : from.value("key_file", std::vector<std::string>{})) {
    config::SecretRef ref;
    ref.name = file;
    target.keys.push_back(ref);
  }
  return target;
}

struct Options {
  bool force = false;
  bool only_send = false;
  std::string believed, judge, access;
  std::vector<std::string> rest;
};

Options options_from(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& argument = arguments[i];
    const auto value = [&] { return arguments.at(++i); };
    if (argument == "--force") {
      options.force = true;
    } else if (argument == "--only-send") {
      options.only_send = true;
    } else if (argument == "--believed") {
      options.believed = value();
    } else if (argument == "--judge") {
      options.judge = value();
    } else if (argument == "--access") {
      options.access = value();
    } else {
      options.rest.push_back(argument);
    }
  }
  if (options.rest.size() < 2) throw std::invalid_argument("a table and a target are needed");
  return options;
}

json describe(const config::Target& target, const Result<push::Outcome>& outcome) {
  json line{{"target", target.name}};
  if (!outcome) {
    line["error"] = to_string(outcome.error().code);
    line["message"] = outcome.error().message;
    return line;
  }
  constexpr const char* kinds[] = {"unchanged", "replaced", "held"};
  line["kind"] = kinds[static_cast<int>(outcome->kind)];
  line["drifted"] = outcome->drifted;
  line["bytes_sent"] = outcome->bytes_sent;
  line["map_type"] = outcome->map_type;
  line["refusal"] = outcome->refusal;
  line["warnings"] = outcome->warnings;
  return line;
}

// What scp(1) does, and no more: for measuring the transport alone.
boost::asio::awaitable<Result<push::Outcome>> only_send(push::Plan plan) {
  const auto executor = co_await boost::asio::this_coro::executor;
  push::Outcome outcome;
  std::string step;
  auto session =
      co_await push::connect(executor, *plan.target, system_clock().steady() + plan.target->timeout,
                             step, outcome.warnings);
  if (!session) co_return session.error().within(step);
  const auto sent = co_await (*session)->send(plan.target->path, plan.recipients);
  if (!sent) co_return sent.error();
  outcome.kind = push::Outcome::Kind::replaced;
  outcome.bytes_sent = (*session)->bytes_sent();
  co_return outcome;
}

boost::asio::awaitable<void> push_and_print(push::Plan plan, bool send_only, int& status) {
  const auto& target = *plan.target;
  const auto began = std::chrono::steady_clock::now();
  std::size_t judged = 0;
  if (plan.judge_present) {
    plan.judge_present = [&judged, judge = plan.judge_present](std::string_view present) {
      judged = present.size();
      return judge(present);
    };
  }
  auto running = send_only ? only_send(std::move(plan)) : push::push(std::move(plan));
  const auto outcome = co_await std::move(running);
  auto line = describe(target, outcome);
  line["judged_bytes"] = judged;
  line["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
  if (!outcome) status = 1;
}

int run(const std::vector<std::string>& arguments) {
  const auto options = options_from(arguments);
  if (const auto started = push::initialize(); !started)
    throw std::runtime_error(started.error().message);
  const auto table = read_file(options.rest.front(), table_limit);
  if (!table) throw std::runtime_error(table.error().message);
  Result<std::string> access = std::string{};
  if (!options.access.empty()) access = read_file(options.access, table_limit);
  if (!access) throw std::runtime_error(access.error().message);

  std::vector<config::Target> targets;
  for (std::size_t i = 1; i < options.rest.size(); ++i)
    targets.push_back(target_from(options.rest[i]));
  boost::asio::io_context context(1);
  int status = 0;
  for (const auto& target : targets) {
    push::Plan plan;
    plan.target = &target;
    plan.recipients = *table;
    if (!options.only_send) plan.recipients_digest = sha256(*table);
    plan.has_access = !options.access.empty();
    plan.access = *access;
    plan.access_digest = sha256(*access);
    plan.force = options.force;
    plan.believed = Digest::from_hex(options.believed);
    if (!options.judge.empty())
      plan.judge_present = [accept = options.judge == "accept"](std::string_view) -> Result<> {
        if (accept) return {};
        return Error{Errc::invalid, "refused by --judge"};
      };
    boost::asio::co_spawn(context, push_and_print(std::move(plan), options.only_send, status),
                          boost::asio::detached);
  }
  context.run();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "push_once: {}\n", error.what());
    return 2;
  }
}

#include "push/push.hpp"

#include <fmt/format.h>
#include <libssh2.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>

#include "base/escape.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "push/connect.hpp"
#include "push/recipe.hpp"
#include "push/session.hpp"

namespace rcptsync::push {
namespace {

namespace asio = boost::asio;
using std::chrono::seconds;

template <class T = void>
using Async = asio::awaitable<Result<T>>;

constexpr std::size_t words_limit = 64U << 10;
constexpr std::uint64_t table_limit = 1ULL << 30;
constexpr std::uint64_t bytes_a_minute = 64ULL << 20;
constexpr seconds most_waiting_for_lock{30};

// All of one push together: what the administrator allows, and enough for a very large table.
seconds time_allowed(const Plan& plan) {
  const auto minutes = (plan.recipients.size() + plan.access.size()) / bytes_a_minute;
  return std::max(plan.target->timeout, seconds(60 * minutes));
}

// One of the two tables of a target on its way.
struct Upload {
  std::string table;     // its path
  std::string new_file;  // empty: the target has it already
  Digest digest;
  std::string_view bytes;
};

Result<> check_plan(const Plan& plan) {
  const auto& target = *plan.target;
  if (target.mode != config::Mode::scp)
    return Error{Errc::invalid, "mode: receive is not built into this version; use scp"};
  switch (target.format) {
    case config::Format::postfix:
    case config::Format::postfix_access:
    case config::Format::list:
      break;
    default:
      if (target.rebuild.empty())
        return Error{Errc::invalid, fmt::format("format: {} needs a rebuild: command of yours",
                                                config::to_string(target.format))};
  }
  if (!usable_path(target.path)) return unusable_path(target.path);
  return {};
}

// A push on its way. Its steps are named for errors: `mx2.example.net: log in: …`.
class Pusher {
 public:
  Pusher(const Plan& plan, asio::any_io_executor executor)
      : plan_(plan),
        target_(*plan.target),
        executor_(std::move(executor)),
        deadline_(system_clock().steady() + time_allowed(plan)) {}

  Async<Outcome> run() {
    auto outcome = co_await story();
    if (outcome) co_return outcome;
    auto error = outcome.error().within(fmt::format("{}: {}", target_.host, step_));
    if (error.code == Errc::timeout)
      error.message += fmt::format(" ({} s)", time_allowed(plan_).count());
    co_return error;
  }

 private:
  Async<Outcome> story() {
    step_ = "settings";
    if (const auto usable = check_plan(plan_); !usable) co_return usable.error();
    auto connected = co_await connect(executor_, target_, deadline_, step_, warnings_);
    if (!connected) co_return connected.error();
    session_ = std::move(*connected);
    session_->tell_sent(plan_.sent);

    auto look = co_await look_at_target();
    if (!look) co_return look.error();
    Outcome outcome;
    outcome.map_type = look->map_type;
    outcome.warnings = std::move(warnings_);
    outcome.warnings.insert(outcome.warnings.end(), look->warnings.begin(), look->warnings.end());
    const auto& held = look->recipients.digest;
    outcome.drifted = plan_.believed && held != plan_.believed && held != plan_.recipients_digest;

    auto uploads = what_to_send(*look);
    if (uploads.empty()) {
      outcome.kind = Outcome::Kind::unchanged;
      co_return outcome;
    }
    if (plan_.judge_present && held && held != plan_.recipients_digest) {
      auto refusal = co_await judge_present(look->recipients);
      if (!refusal) co_return refusal.error();
      if (!refusal->empty()) {
        outcome.kind = Outcome::Kind::held;
        outcome.refusal = std::move(*refusal);
        co_return outcome;
      }
    }

    const auto installed = co_await send_and_install(uploads, *look, outcome);
    outcome.bytes_sent = session_->bytes_sent();
    if (!installed) co_return installed.error();
    outcome.kind = Outcome::Kind::replaced;
    co_return outcome;
  }

  // Has the recipe do `arguments` over there.
  Async<CommandOutput> ask(std::vector<std::string> arguments, std::size_t limit) {
    const auto input = recipe_input(mark_, arguments);
    std::string command(recipe_command);
    co_return co_await session_->run(std::move(command), input, limit);
  }

  // What `look` and `install` have in common: PATH CONFIG FORMAT MAP WAIT.
  std::vector<std::string> verb(std::string name) const {
    const auto left = std::chrono::duration_cast<seconds>(deadline_ - system_clock().steady()) / 2;
    return {std::move(name),
            target_.path,
            target_.postfix_config,
            std::string(config::to_string(target_.format)),
            std::string(config::to_string(target_.map_type)),
            std::to_string(std::clamp(left, seconds(1), most_waiting_for_lock).count())};
  }

  Async<Look> look_at_target() {
    step_ = "look at " + target_.path;
    auto arguments = verb("look");
    arguments.emplace_back(plan_.has_access ? "yes" : "no");
    arguments.push_back(std::to_string(plan_.recipients.size() + plan_.access.size()));
    // Twice the time that an upload may take, in minutes, and an hour for clocks that differ.
    arguments.push_back(std::to_string(60 + 2 * time_allowed(plan_).count() / 60));
    arguments.push_back(target_.rebuild);
    const auto output = co_await ask(std::move(arguments), words_limit);
    if (!output) co_return output.error();
    const auto answers = parse_answers(*output, mark_);
    if (!answers) co_return answers.error();
    co_return parse_look(*answers);
  }

  std::vector<Upload> what_to_send(const Look& look) const {
    const auto needs = [&](const TableState& state, const Digest& digest) {
      return plan_.force || state.digest != digest || !state.whole;
    };
    std::vector<Upload> uploads;
    if (needs(look.recipients, plan_.recipients_digest))
      uploads.push_back({target_.path, "", plan_.recipients_digest, plan_.recipients});
    // An access table that the settings no longer use is emptied: its reject texts would outlive
    // the reasons for them.
    const auto access = plan_.has_access ? plan_.access : std::string_view{};
    const auto access_digest = plan_.has_access ? plan_.access_digest : sha256("");
    if (look.access && needs(*look.access, access_digest))
      uploads.push_back({target_.path + "_access", "", access_digest, access});
    return uploads;
  }

  // The refusal, or nothing if the table over there may be replaced.
  Async<std::string> judge_present(const TableState& present) {
    step_ = "read the present " + target_.path;
    if (present.size > table_limit)
      co_return Error{Errc::limit, fmt::format("it has {} bytes, and only {} are looked at",
                                               present.size, table_limit)};
    std::vector<std::string> arguments{"show"};
    arguments.push_back(target_.path);
    const auto output =
        co_await ask(std::move(arguments), static_cast<std::size_t>(present.size) + words_limit);
    if (!output) co_return output.error();
    const auto answers = parse_answers(*output, mark_);
    if (!answers) co_return answers.error();
    if (sha256(answers->bytes) != *present.digest)
      co_return Error{Errc::busy, "it was replaced while it was read"};
    const auto judged = plan_.judge_present(answers->bytes);
    co_return judged ? std::string{} : judged.error().message;
  }

  Async<> send_and_install(std::vector<Upload>& uploads, const Look& look, Outcome& outcome) {
    for (auto& upload : uploads) {
      step_ = "send " + upload.table;
      upload.new_file = upload.table + ".new." + random_hex(system_random(), 8);
      const auto sent = co_await session_->send(upload.new_file, upload.bytes);
      if (!sent) {
        co_await discard(uploads);
        co_return sent.error();
      }
    }
    step_ = "install " + target_.path;
    auto arguments = verb("install");
    add_install_arguments(arguments, uploads, look);
    const auto output = co_await ask(std::move(arguments), words_limit);
    if (!output) co_return output.error();
    const auto answers = parse_answers(*output, mark_);
    if (!answers) co_return answers.error();
    for (const auto& [key, value] : answers->values)
      if (key == "warning") outcome.warnings.push_back(escape(value, 600));
    co_return Result<>{};
  }

  void add_install_arguments(std::vector<std::string>& arguments,
                             const std::vector<Upload>& uploads, const Look& look) const {
    const auto find = [&](const std::string& table) -> const Upload* {
      for (const auto& upload : uploads)
        if (upload.table == table) return &upload;
      return nullptr;
    };
    const auto* recipients = find(target_.path);
    const auto* access = find(target_.path + "_access");
    const auto add_table = [&](const Upload* upload, const std::optional<Digest>& held) {
      arguments.push_back(digest_word(held));
      arguments.push_back(upload == nullptr ? "" : upload->new_file);
      arguments.push_back(upload == nullptr ? "" : upload->digest.hex());
    };
    add_table(recipients, look.recipients.digest);
    add_table(access, look.access ? look.access->digest : std::nullopt);
    const auto left = std::chrono::duration_cast<seconds>(deadline_ - system_clock().steady());
    arguments.push_back(std::to_string(std::max(left, seconds(1)).count()));
    for (const auto* upload : {recipients, access})
      arguments.push_back(
          upload == nullptr || target_.rebuild.empty()
              ? std::string{}
              : rebuild_command(target_.rebuild, upload->new_file, upload->table, upload->digest));
  }

  // After a failed upload, while the connection still works. Without one the recipe sweeps later.
  asio::awaitable<void> discard(const std::vector<Upload>& uploads) {
    std::vector<std::string> arguments{"discard"};
    for (const auto& upload : uploads)
      if (!upload.new_file.empty()) arguments.push_back(upload.new_file);
    co_await ask(std::move(arguments), words_limit);
  }

  const Plan& plan_;
  const config::Target& target_;
  asio::any_io_executor executor_;
  SteadyTime deadline_;
  std::string mark_ = random_hex(system_random(), 8);
  std::string step_;
  std::unique_ptr<Session> session_;
  std::vector<std::string> warnings_;
};

}  // namespace

asio::awaitable<Result<Outcome>> push(Plan plan) {
  // A cancelled wait is to end in an Error like every other, not in an exception.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto executor = co_await asio::this_coro::executor;
  Pusher pusher(plan, executor);
  auto outcome = co_await pusher.run();
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return outcome;
}

Result<> initialize() {
  if (libssh2_init(0) != 0) return Error{Errc::internal, "libssh2 does not start"};
  return {};
}

}  // namespace rcptsync::push

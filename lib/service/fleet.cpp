#include "service/fleet.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/first_push.hpp"
#include "service/location.hpp"
#include "service/offload.hpp"

namespace rcptsync::service {
namespace {

namespace asio = boost::asio;
using sync::TargetMachine;

// An empty table turns every recipient away, and it takes no more than a slip in `domains` to make
// one.
std::optional<Error> refuse_empty(const config::Config& config, const config::Target& target,
                                  const recipient::Tables& tables) {
  if (tables.recipients.entries > 0 || config.guard.min_recipients == 0) return std::nullopt;
  return Error{
      Errc::invalid,
      fmt::format("its table would be empty, and a gateway with an empty table turns everybody "
                  "away: none of "
                  "the recipients is in domains: [{}]; correct that, or set enabled: false",
                  fmt::join(target.domains, ", "))};
}

}  // namespace

Fleet::Fleet(asio::io_context& io, asio::thread_pool& worker, store::Store& store, EventSink& sink,
             std::function<void()> changed)
    : io_(io),
      worker_(worker),
      store_(store),
      sink_(sink),
      changed_(std::move(changed)),
      tables_(store),
      idle_(io, asio::steady_timer::time_point::max()),
      ended_(io, asio::steady_timer::time_point::max()),
      patience_(io) {}

Result<> Fleet::configure(std::shared_ptr<const config::Config> config,
                          const std::set<std::string>& unproven) {
  std::map<std::string, RunPtr> runs;
  const auto loaded = store_.read([&](store::View& view) -> Result<> {
    for (const auto& target : config->targets) {
      store::TargetRecord record;
      auto stored = view.target(target.name);
      if (!stored) return stored.error();
      if (*stored && (*stored)->location == location_of(target)) record = **stored;
      record.name = target.name;
      record.location = location_of(target);
      const bool believed = record.attempts == 0 && !unproven.contains(target.name);
      const TargetMachine::Remembered remembered{believed ? record.generation : 0, record.attempts};
      runs[target.name] =
          std::shared_ptr<Run>(new Run{config,
                                       &target,
                                       TargetMachine(target.enabled, remembered, system_random()),
                                       std::move(record),
                                       asio::steady_timer(io_),
                                       {},
                                       false,
                                       false});
    }
    return {};
  });
  if (!loaded) return loaded;
  unproven_.insert(unproven.begin(), unproven.end());
  std::erase_if(unproven_, [&](const auto& name) { return !runs.contains(name); });
  for (auto& [name, run] : runs_) {
    run->gone = true;
    run->timer.cancel();
  }
  std::erase_if(queue_, [](const auto& entry) { return entry.first->gone; });
  runs_ = std::move(runs);
  config_ = std::move(config);
  return {};
}

recipient::TableSettings Fleet::settings_of(const Run& run) {
  auto settings = table_settings(*run.config, *run.target);
  // A target that ever had an access table keeps getting it: a stale one would go on rejecting.
  if (run.record.access_digest != Digest{}) settings.with_access = true;
  return settings;
}

asio::awaitable<Result<Digest>> Fleet::complete(std::uint64_t generation) {
  std::optional<recipient::TableSettings> whole;
  for (const auto& [name, run] : runs_)
    if (auto settings = settings_of(*run); run->target->enabled && is_whole_table(settings))
      whole = std::move(settings);
  std::shared_ptr<const TargetTables> made;
  auto find = [&]() -> Result<Digest> {
    Result<Digest> digest = Digest{};
    if (whole) {
      const auto tables = tables_.get(*whole);
      if (!tables) return tables.error();
      made = *tables;
      digest = made->tables.recipients.digest;
    } else {
      const auto read = store_.read([&](store::View& view) -> Result<> {
        digest = table_digest(view);
        if (!digest) return digest.error();
        return {};
      });
      if (!read) return read.error();
    }
    if (auto noted = note_digest(store_, generation, *digest); !noted) return noted.error();
    return digest;
  };
  auto digest = co_await offload(worker_, find);
  made_ahead_ = std::move(made);
  co_return digest;
}

void Fleet::desire(std::uint64_t generation, bool force) {
  if (stopping_) return;
  for (auto& [name, run] : runs_)
    act(run, run->machine.desire({generation, force}, system_clock().steady()));
  if (running_ == 0 && queue_.empty()) made_ahead_.reset();
}

void Fleet::act(const RunPtr& run, TargetMachine::Action action) {
  if (run->gone || stopping_) return;
  switch (action.kind) {
    case TargetMachine::Action::Kind::none:
      return;
    case TargetMachine::Action::Kind::push:
      run->timer.cancel();
      queue_.emplace_back(run, action.desired);
      start_queued();
      return;
    case TargetMachine::Action::Kind::wait:
      run->timer.expires_at(action.until);
      run->timer.async_wait([this, run](const boost::system::error_code& error) {
        if (!error) act(run, run->machine.timer(system_clock().steady()));
      });
      return;
  }
}

void Fleet::start_queued() {
  // Those that answered the last time go first: a row of dead hosts must not fill every place
  // before them.
  std::stable_partition(queue_.begin(), queue_.end(),
                        [](const auto& entry) { return entry.first->record.attempts == 0; });
  for (auto entry = queue_.begin();
       entry != queue_.end() && running_ < config_->rollout.parallel;) {
    // A push of the old configuration may still run on the same target: two would interleave.
    const bool busy = std::any_of(active_.begin(), active_.end(), [&](const RunPtr& run) {
      return run->record.name == entry->first->record.name;
    });
    if (busy) {
      ++entry;
      continue;
    }
    auto [run, desired] = *entry;
    entry = queue_.erase(entry);
    ++running_;
    run->pushing = true;
    run->progress = {system_clock().wall(), 0, 0};
    active_.insert(run);
    unproven_.insert(run->record.name);
    auto ended = [this, run](std::exception_ptr failure) {
      --running_;
      run->pushing = false;
      active_.erase(run);
      // An abandoned push ends with an exception of Asio's; any other is a bug and must not be
      // hidden.
      if (failure && !stopping_) std::rethrow_exception(failure);
      changed_();
      start_queued();
      if (running_ == 0 && queue_.empty()) made_ahead_.reset();
      idle_.cancel();
      ended_.cancel();
      if (active_.empty()) patience_.cancel();
    };
    asio::co_spawn(io_, carry_out(run, desired),
                   asio::bind_cancellation_slot(run->cancel.slot(), std::move(ended)));
    changed_();
  }
}

asio::awaitable<void> Fleet::carry_out(RunPtr run, TargetMachine::Desired desired) {
  const auto began = system_clock().steady();
  Before before{run->record.attempts > 0, {}};
  if (run->record.hold) before.hold = run->record.hold->digest;
  std::shared_ptr<const TargetTables> tables;
  auto outcome = co_await push_tables(*run, tables, desired.force);
  const auto now = system_clock().steady();

  TargetMachine::Action next;
  auto& record = run->record;
  record.next_attempt.reset();
  if (!outcome) {
    if (outcome.error().code == Errc::cancelled && stopping_) co_return;
    next = run->machine.failed(now);
    record.last_error = outcome.error().message;
    if (next.kind == TargetMachine::Action::Kind::wait)
      record.next_attempt =
          system_clock().wall() + std::chrono::duration_cast<WallTime::duration>(next.until - now);
  } else if (outcome->kind == push::Outcome::Kind::held) {
    next = run->machine.held(now);
    record.last_error = outcome->refusal;
  } else {
    next = run->machine.succeeded(tables->generation, now);
    record.generation = tables->generation;
    record.digest = tables->tables.recipients.digest;
    record.access_digest = tables->tables.has_access ? tables->tables.access.digest : Digest{};
    record.last_success = system_clock().wall();
    record.last_error.clear();
    record.judged = true;
    record.hold.reset();
    record.approved = Digest{};
  }
  record.attempts = run->machine.attempts();
  tell(*run, outcome, tables.get(),
       std::chrono::duration_cast<std::chrono::microseconds>(now - began), before);
  if (run->gone) {
    if (outcome && outcome->kind != push::Outcome::Kind::held) co_await hand_over(*run);
  } else if (co_await remember(*run)) {
    unproven_.erase(record.name);
  }
  act(run, next);
}

asio::awaitable<void> Fleet::hand_over(const Run& run) {
  const auto found = runs_.find(run.record.name);
  if (found == runs_.end() || found->second->record.location != run.record.location) co_return;
  const auto successor = found->second;
  successor->record = run.record;
  co_await remember(*successor);
}

asio::awaitable<Result<push::Outcome>> Fleet::push_tables(
    Run& run, std::shared_ptr<const TargetTables>& tables, bool force) {
  const auto settings = settings_of(run);
  auto make = [this, &settings] { return tables_.get(settings); };
  auto made = co_await offload(worker_, make);
  if (!made) co_return made.error();
  tables = *made;
  const auto& files = tables->tables;
  if (auto refused = refuse_empty(*run.config, *run.target, files)) co_return *refused;
  for (const auto& address : files.not_carried_sample)
    sink_.emit({EventKind::address_dropped,
                Priority::warning,
                fmt::format("{}: {} cannot stand in a table of format {}, {} such in all",
                            run.target->name, escape(address),
                            config::to_string(run.target->format), files.not_carried),
                {},
                run.target->name});

  push::Plan plan;
  plan.target = run.target;
  plan.recipients = files.recipients.bytes;
  plan.recipients_digest = files.recipients.digest;
  plan.has_access = files.has_access;
  plan.access = files.access.bytes;
  plan.access_digest = files.access.digest;
  plan.force = force;
  run.progress.total =
      files.recipients.bytes.size() + (files.has_access ? files.access.bytes.size() : 0);
  plan.sent = &run.progress.sent;
  if (run.record.generation != 0) plan.believed = run.record.digest;
  std::optional<store::Hold> hold;
  if (!run.record.judged)
    plan.judge_present = [&](std::string_view present) -> Result<> {
      auto first =
          judge_first_push(*run.config, run.target->format, present, files.recipients.bytes);
      if (first.verdict.action == sync::GuardVerdict::Action::publish) return {};
      // An approval is of exactly these losses.
      if (first.verdict.digest == run.record.approved) return {};
      std::string reasons;
      for (const auto& reason : first.verdict.reasons)
        reasons += (reasons.empty() ? "" : "; ") + reason;
      hold = store::Hold{first.verdict.digest, system_clock().wall(), 0, first.removed, reasons};
      return Error{
          Errc::permission,
          fmt::format("first push: {} of the {} that it accepts now would go: {}", first.removed,
                      counted(first.present, "address", "addresses"), reasons)};
    };
  sink_.emit({EventKind::push_started,
              Priority::debug,
              fmt::format("pushing to {}", run.target->name),
              {},
              run.target->name,
              tables->generation});
  auto outcome = co_await push::push(plan);
  if (hold) {
    if (run.record.hold && run.record.hold->digest == hold->digest)
      hold->since = run.record.hold->since;
    run.record.hold = hold;
  }
  co_return outcome;
}

asio::awaitable<bool> Fleet::remember(Run& run) {
  auto put = [&]() -> Result<> {
    const auto written = store_.write([&](store::Transaction& transaction) -> Result<bool> {
      if (auto done = transaction.put_target(run.record); !done) return done.error();
      return true;
    });
    if (!written) return written.error();
    return {};
  };
  const auto done = co_await offload(worker_, put);
  if (!done)
    sink_.emit(
        {EventKind::diagnostic,
         Priority::error,
         "cannot remember how the push to " + run.target->name + " went: " + done.error().message,
         {},
         run.target->name});
  co_return done.has_value();
}

void Fleet::tell(const Run& run, const Result<push::Outcome>& outcome, const TargetTables* tables,
                 std::chrono::microseconds duration, const Before& before) {
  const auto& name = run.target->name;
  Event event;
  event.target = name;
  event.duration = duration;
  if (tables != nullptr) {
    event.generation = tables->generation;
    event.total = tables->tables.recipients.entries;
    event.digest = tables->tables.recipients.digest.hex();
  }
  if (!outcome) {
    event.kind = EventKind::push_failed;
    event.priority = Priority::error;
    event.error = outcome.error().message;
    event.message =
        fmt::format("push to {} failed, it keeps its table: {}", name, outcome.error().message);
    sink_.emit(event);
    return;
  }
  for (const auto& warning : outcome->warnings)
    sink_.emit(
        {EventKind::diagnostic, Priority::warning, fmt::format("{}: {}", name, warning), {}, name});
  if (outcome->drifted) {
    auto drift = event;
    drift.kind = EventKind::target_drifted;
    drift.priority = Priority::warning;
    drift.message = fmt::format("{} held a table that was not pushed from here", name);
    sink_.emit(drift);
  }
  switch (outcome->kind) {
    case push::Outcome::Kind::held:
      // The same removals again, as every generation and every start finds them, are no news.
      if (run.record.hold && before.hold == run.record.hold->digest) return;
      event.kind = EventKind::change_held;
      event.priority = Priority::warning;
      event.removed = run.record.hold ? run.record.hold->removed : 0;
      event.error = outcome->refusal;
      event.message = fmt::format("{} keeps its table: {}", name, outcome->refusal);
      sink_.emit(event);
      return;
    case push::Outcome::Kind::replaced:
      event.kind = EventKind::push_done;
      event.priority = Priority::info;
      event.message =
          fmt::format("{} serves generation {} with {} ({}, {} sent)", name, tables->generation,
                      counted(tables->tables.recipients.entries, "entry", "entries"),
                      outcome->map_type, counted(outcome->bytes_sent, "byte"));
      sink_.emit(event);
      break;
    case push::Outcome::Kind::unchanged:
      break;
  }
  if (outcome->kind == push::Outcome::Kind::replaced && !before.failing) return;
  event.kind = EventKind::target_current;
  event.priority = before.failing ? Priority::notice : Priority::info;
  event.message = fmt::format("{} is current at generation {}", name, tables->generation);
  sink_.emit(event);
}

// ---- orders
// --------------------------------------------------------------------------------------------------

std::set<std::string> Fleet::hurry(const std::vector<std::string>& names) {
  using sync::TargetState;
  std::set<std::string> hurried;
  for (const auto& [name, run] : runs_) {
    const auto state = run->machine.state();
    const bool meant = names.empty() ? state != TargetState::current
                                     : std::find(names.begin(), names.end(), name) != names.end();
    if (!meant || state == TargetState::disabled || stopping_) continue;
    hurried.insert(name);
    act(run, run->machine.hurry(system_clock().steady()));
  }
  return hurried;
}

asio::awaitable<void> Fleet::settled(std::set<std::string> names) {
  const auto pushes = [&] {
    return std::any_of(names.begin(), names.end(), [&](const auto& name) {
      const auto found = runs_.find(name);
      return found != runs_.end() && found->second->machine.state() == sync::TargetState::pushing;
    });
  };
  while (!stopping_ && pushes()) {
    boost::system::error_code ignored;
    co_await ended_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

std::vector<Fleet::Standing> Fleet::standing(const std::set<std::string>& names) const {
  std::vector<Standing> all;
  for (const auto& name : names)
    if (const auto found = runs_.find(name); found != runs_.end())
      all.push_back({name, found->second->machine.state(), found->second->record.generation,
                     found->second->record.last_error});
  return all;
}

asio::awaitable<Result<std::string>> Fleet::approve(std::string target, Digest hold) {
  // Nobody else may change the record while it is written.
  std::set<std::string> only;
  only.insert(target);
  co_await settled(std::move(only));
  const auto found = runs_.find(target);
  if (found == runs_.end())
    co_return Error{Errc::not_found, fmt::format("no target is named {}", escape(target))};
  const auto run = found->second;
  if (!run->record.hold || run->record.hold->digest != hold)
    co_return Error{Errc::not_found, fmt::format("{} names nothing that is held for {}",
                                                 hold.brief(), escape(target))};
  run->record.approved = hold;
  if (!co_await remember(*run))
    co_return Error{Errc::io, "the approval could not be noted; the log says why"};
  act(run, run->machine.hurry(system_clock().steady()));
  co_return fmt::format(
      "the first table of {} is let through: {} addresses will not be accepted "
      "there any more",
      target, run->record.hold->removed);
}

asio::awaitable<void> Fleet::idle() {
  while (running_ > 0 || !queue_.empty()) {
    idle_.expires_at(asio::steady_timer::time_point::max());
    boost::system::error_code ignored;
    co_await idle_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void Fleet::stop(std::chrono::milliseconds patience) {
  stopping_ = true;
  queue_.clear();
  for (auto& [name, run] : runs_) run->timer.cancel();
  idle_.cancel();
  ended_.cancel();
  if (active_.empty()) return;
  patience_.expires_after(patience);
  patience_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    for (const auto& run : active_) run->cancel.emit(asio::cancellation_type::terminal);
  });
}

std::set<std::string> Fleet::pushing() const {
  std::set<std::string> names;
  for (const auto& run : active_) names.insert(run->record.name);
  return names;
}

std::map<std::string, PushProgress> Fleet::progress() const {
  std::map<std::string, PushProgress> progress;
  for (const auto& run : active_) progress.emplace(run->record.name, run->progress);
  return progress;
}

bool Fleet::any_failing() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& run) {
    return run.second->machine.state() == sync::TargetState::failing;
  });
}

bool Fleet::any_held() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& run) {
    return run.second->machine.state() == sync::TargetState::held;
  });
}

}  // namespace rcptsync::service

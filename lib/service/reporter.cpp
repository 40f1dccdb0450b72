#include "service/reporter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/escape.hpp"
#include "base/file.hpp"
#include "service/alert_file.hpp"
#include "service/metrics.hpp"
#include "service/status_report.hpp"

namespace rcptsync::service {
namespace {

using namespace std::chrono_literals;

/// Events that wait for the next look. More come only if the disk of the state hangs.
constexpr std::size_t most_events = 1000;
/// A target that is behind for less is not worth a write of alerts.json: each generation makes all
/// of them so for a moment.
constexpr auto passing = 1min;

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? escape(name) : "unknown";
}

bool alerts_are_about(EventKind kind) {
  switch (kind) {
    case EventKind::poll_changed:
    case EventKind::poll_unchanged:
    case EventKind::poll_failed:
    case EventKind::change_approved:
    case EventKind::change_rejected:
    case EventKind::rolled_back:
    case EventKind::push_done:
    case EventKind::target_current:
    case EventKind::target_drifted:
      return true;
    default:
      return false;
  }
}

/// How the sources are, which is all that counting their failures needs.
StatusReport sources_only(const config::Config& config, const RuntimeStatus& runtime,
                          WallTime now) {
  StatusReport report;
  report.now = now;
  for (const auto& source : config.sources) {
    StatusReport::Source row;
    row.name = source.name;
    if (const auto known = runtime.sources.find(source.name); known != runtime.sources.end())
      row.runtime = known->second;
    report.sources.push_back(std::move(row));
  }
  return report;
}

AlertMemory without_passing(AlertMemory memory, WallTime now) {
  std::erase_if(memory.behind,
                [&](const auto& entry) { return entry.second.since > now - passing; });
  return memory;
}

}  // namespace

Reporter::Reporter(store::Store& store, EventSink& sink, ReporterTimes times)
    : store_(store),
      sink_(sink),
      times_(std::move(times)),
      started_(system_clock().wall()),
      host_(host_name()) {}

Reporter::~Reporter() {
  stop(0ms);
  {
    const std::lock_guard lock(inbox_mutex_);
    ending_ = true;
  }
  inbox_changed_.notify_all();
}

void Reporter::configure(std::shared_ptr<const config::Config> config) {
  const bool first = !config_;
  if (first) {
    auto loaded = load_alerts(config->state_dir);
    if (loaded)
      memory_ = saved_ = std::move(*loaded);
    else
      sink_.emit({EventKind::diagnostic, Priority::warning, loaded.error().message});
    pending_ = memory_.queue.size();
  }
  {
    const std::lock_guard lock(inbox_mutex_);
    config_ = std::move(config);
  }
  inbox_changed_.notify_all();
  if (!first) return;
  book_ = std::jthread([this] { keep_book(); });
  delivery_ = std::jthread([this] { deliver(); });
}

// ---- what the other threads call
// ------------------------------------------------------------------------------

void Reporter::emit(const Event& event) {
  sink_.emit(event);
  if (!alerts_are_about(event.kind)) return;
  const std::lock_guard lock(inbox_mutex_);
  if (news_.events.size() < most_events) news_.events.push_back(event);
}

void Reporter::polled(const RuntimeStatus& runtime) {
  const std::lock_guard lock(inbox_mutex_);
  for (const auto& [name, source] : runtime.sources)
    if (!source.last_error.empty()) ++news_.failed_polls[name];
}

void Reporter::look(const RuntimeStatus& runtime) {
  {
    const std::lock_guard lock(inbox_mutex_);
    runtime_ = runtime;
    asked_ = true;
  }
  inbox_changed_.notify_all();
}

void Reporter::stop(std::chrono::milliseconds limit) {
  const auto now = system_clock().steady();
  stop_.request(now + limit / 2, now + limit * 7 / 10);
  {
    const std::lock_guard lock(inbox_mutex_);
    stopping_ = true;
  }
  inbox_changed_.notify_all();
}

void Reporter::finish() {
  std::unique_lock lock(inbox_mutex_);
  inbox_changed_.wait(lock, [this] { return stopping_ || (!asked_ && !busy_ && pending_ == 0); });
}

// ---- the book
// -------------------------------------------------------------------------------------------------

void Reporter::keep_book() {
  std::optional<WallTime> due;
  std::unique_lock lock(inbox_mutex_);
  for (;;) {
    const auto wanted = [this] { return asked_ || ending_; };
    if (due) {
      // In steps of at most a minute: the wall clock may jump ahead.
      const auto left = std::clamp<WallTime::duration>(*due - system_clock().wall(), 0s, 60s);
      inbox_changed_.wait_for(lock, left, wanted);
    } else {
      inbox_changed_.wait(lock, wanted);
    }
    if (!asked_ && ending_) return;
    if (!asked_ && system_clock().wall() < *due) continue;
    busy_ = true;
    asked_ = false;
    const auto config = config_;
    const auto runtime = runtime_;
    const auto news = std::exchange(news_, {});
    lock.unlock();
    due = take_stock(*config, runtime, news);
    lock.lock();
    busy_ = false;
    inbox_changed_.notify_all();
  }
}

/// When to do it again, if nothing happens before.
std::optional<WallTime> Reporter::take_stock(const config::Config& config,
                                             const RuntimeStatus& runtime, const AlertNews& news) {
  if (config.metrics_file.empty() && config.notify.command.empty()) {
    // Nobody is told how the state is, so it is not read. Only the counts go on, for a command that
    // is configured later.
    const std::lock_guard lock(book_mutex_);
    count_failures(sources_only(config, runtime, system_clock().wall()), news, memory_);
    return {};
  }
  const auto report = gather_status(config, &store_, runtime, true, system_clock().wall());
  complain(status_fails_, report ? "" : "alerts and metrics: " + report.error().message);
  if (!report) {
    put_back(news);
    return {};
  }
  std::optional<WallTime> due;
  const std::lock_guard lock(book_mutex_);
  count_failures(*report, news, memory_);
  write_metrics(config, *report, memory_);
  if (config.notify.command.empty()) return {};
  limit(judge(config.notify, *report, news, started_, memory_, due), report->now, memory_, due);
  save(config, report->now);
  const std::lock_guard inbox(inbox_mutex_);
  pending_ = memory_.queue.size();
  return due;
}

/// For the next look; what came since stands behind it.
void Reporter::put_back(const AlertNews& news) {
  const std::lock_guard lock(inbox_mutex_);
  news_.events.insert(news_.events.begin(), news.events.begin(), news.events.end());
  if (news_.events.size() > most_events) news_.events.resize(most_events);
  for (const auto& [name, polls] : news.failed_polls) news_.failed_polls[name] += polls;
}

void Reporter::write_metrics(const config::Config& config, const StatusReport& report,
                             const AlertMemory& memory) {
  if (config.metrics_file.empty()) return;
  // Whoever collects metrics is somebody else, and no address stands in there.
  const auto written =
      replace_file(config.metrics_file, metrics_text(report, memory, started_), 0644);
  complain(metrics_fails_, written ? "" : "metrics_file: " + written.error().message);
}

void Reporter::save(const config::Config& config, WallTime now) {
  auto lasting = without_passing(memory_, now);
  if (lasting == saved_) return;
  const auto saved = save_alerts(config.state_dir, lasting);
  complain(book_fails_, saved ? ""
                              : "what was alerted is not noted, a restart would repeat it: " +
                                    saved.error().message);
  if (saved) saved_ = std::move(lasting);
}

void Reporter::complain(bool& failing, const std::string& message) {
  const bool news = !std::exchange(failing, !message.empty());
  if (news && !message.empty()) sink_.emit({EventKind::diagnostic, Priority::error, message});
}

// ---- delivery
// -------------------------------------------------------------------------------------------------

void Reporter::deliver() {
  for (;;) {
    std::shared_ptr<const config::Config> config;
    {
      std::unique_lock lock(inbox_mutex_);
      inbox_changed_.wait(lock, [this] { return pending_ > 0 || stopping_; });
      if (stopping_) return;
      config = config_;
    }
    Alert alert;
    {
      const std::lock_guard lock(book_mutex_);
      alert = memory_.queue.front();
    }
    if (!config->notify.command.empty() && !run_for(alert, config->notify.command)) return;
    // Only now it is forgotten: killed before, the daemon runs the program for it once more.
    const std::lock_guard lock(book_mutex_);
    memory_.queue.erase(memory_.queue.begin());
    save(*config, system_clock().wall());
    const std::lock_guard inbox(inbox_mutex_);
    pending_ = memory_.queue.size();
    inbox_changed_.notify_all();
  }
}

/// False if it was not delivered because of the stop.
bool Reporter::run_for(const Alert& alert, const std::vector<std::string>& command) {
  Program program;
  program.command = command;
  program.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         "LANG=C.UTF-8", "RCPTSYNC_EVENT=" + alert.event};
  program.input = document(alert, host_);
  program.deadline = times_.deadline;
  program.mercy = times_.mercy;
  program.said = [this](std::string_view line) {
    sink_.emit({EventKind::diagnostic, Priority::info,
                fmt::format("notify.command says: {}", escape(line, 1000))});
  };
  for (std::size_t failures = 0;;) {
    const auto ran = run_program(program, stop_);
    if (ran) {
      sink_.emit({EventKind::diagnostic, Priority::debug,
                  fmt::format("notify.command was told: {}", alert.summary)});
      return true;
    }
    if (ran.error().code == Errc::cancelled) return false;
    const bool last = failures == times_.pauses.size();
    sink_.emit(
        {EventKind::diagnostic, last ? Priority::error : Priority::warning,
         fmt::format("notify.command: {}; {}: {}", ran.error().message,
                     last ? "given up, nobody was told" : "it is tried again", alert.summary)});
    if (last) return true;
    std::unique_lock lock(inbox_mutex_);
    if (inbox_changed_.wait_for(lock, times_.pauses[failures++], [this] { return stopping_; }))
      return false;
  }
}

}  // namespace rcptsync::service

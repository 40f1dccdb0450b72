#include "service/engine.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>

#include "base/escape.hpp"
#include "service/offload.hpp"

namespace rcptsync::service {

namespace asio = boost::asio;

/// The reads of one cycle, filled by coroutines that run side by side.
struct Engine::Reads {
  explicit Reads(asio::io_context& io, std::size_t count)
      : results(count), left(count), done(io, asio::steady_timer::time_point::max()) {}
  std::vector<SourceRead> results;
  std::size_t left;
  asio::steady_timer done;
};

Engine::Engine(asio::io_context& io, std::unique_ptr<store::Store> store, EventSink& sink)
    : io_(io),
      store_(std::move(store)),
      sink_(sink),
      fleet_(io, worker_, *store_, sink, [this] { save(); }) {
  runtime_.pid = ::getpid();
  runtime_.started = system_clock().wall();
}

Engine::~Engine() {
  if (readers_) readers_->join();
  worker_.join();
}

Result<> Engine::configure(std::shared_ptr<const config::Config> config) {
  auto rules = recipient::Rules::compile(config->recipients);
  if (!rules) return rules.error();
  auto reader = Reader::open(*config, *store_);
  if (!reader) return reader.error();
  const auto before = config_ ? runtime_ : load_runtime(config->state_dir);
  if (auto done = fleet_.configure(config, before.unproven); !done) return done;
  rules_.emplace(std::move(*rules));
  reader_ = std::move(*reader);
  runtime_.sources.clear();
  for (const auto& source : config->sources)
    if (const auto known = before.sources.find(source.name); known != before.sources.end())
      runtime_.sources.insert(*known);
  // One thread for each source that is being read; the pool is idle between two cycles.
  readers_ =
      std::make_unique<asio::thread_pool>(std::clamp<std::size_t>(config->sources.size(), 1, 16));
  config_ = std::move(config);
  return {};
}

asio::awaitable<std::shared_ptr<Engine::Reads>> Engine::read_sources(bool full,
                                                                     std::stop_token stop) {
  auto reads = std::make_shared<Reads>(io_, reader_->size());
  const auto kind = full ? source::ReadKind::full : source::ReadKind::incremental;
  for (std::size_t index = 0; index < reader_->size(); ++index)
    asio::post(*readers_, [this, reads, index, kind, stop] {
      reads->results[index] = reader_->read(index, kind, stop);
      asio::post(io_, [reads] {
        if (--reads->left == 0) reads->done.cancel();
      });
    });
  while (reads->left > 0) {
    boost::system::error_code ignored;
    co_await reads->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return reads;
}

asio::awaitable<CycleOutcome> Engine::cycle(store::Cause cause, bool full, bool force,
                                            std::stop_token stop) {
  const auto began = system_clock().steady();
  CycleOutcome outcome;
  const auto reads = co_await read_sources(full, stop);
  if (stop.stop_requested()) co_return outcome;
  outcome.sources_failed = note_reads(*reads);

  CycleInput input;
  input.rules = &*rules_;
  input.config = config_.get();
  input.cause = cause;
  input.now = system_clock().wall();
  for (std::size_t i = 0; i < reader_->size(); ++i) {
    const auto& settings = reader_->source(i);
    const auto& read = reads->results[i];
    SourceInput source{settings.name,
                       std::string(config::to_string(settings.type)),
                       read.verdict.has_value(),
                       nullptr,
                       {},
                       {}};
    if (read.verdict) {
      source.changes = &read.changes;
      source.server = read.verdict->server;
      source.cookie = read.verdict->cookie;
    }
    input.sources.push_back(std::move(source));
  }
  auto commit = [&] { return commit_cycle(*store_, input); };
  auto report = co_await offload(worker_, commit);
  if (!report) {
    outcome.sources_failed = true;
    const auto& why = report.error().message;
    sink_.emit(failure(EventKind::poll_failed,
                       "the state cannot be written, the table in force stays: " + why, why));
    // What is in force can be read all the same, and targets that lack it must not wait for a disk.
    auto find = [this] { return generation_in_force(); };
    const auto generation = co_await offload(worker_, find);
    if (generation > 0) fleet_.desire(generation, force);
    save();
    co_return outcome;
  }
  for (std::size_t i = 0; i < reader_->size(); ++i)
    if (reads->results[i].verdict) reader_->committed(i, reads->results[i]);
  const auto duration =
      std::chrono::duration_cast<std::chrono::microseconds>(system_clock().steady() - began);
  if (report->generation) {
    auto digest = co_await fleet_.complete(report->generation->number);
    if (digest)
      report->generation->digest = *digest;
    else
      sink_.emit({EventKind::diagnostic, Priority::error,
                  "the digest of the new table is not noted, the next cycle tries again: " +
                      digest.error().message});
  }
  tell(*report, cause, duration);
  last_ = {report->current, report->accepted, report->hold ? report->hold->removed : 0,
           report->hold.has_value()};
  outcome.report = std::move(*report);
  if (last_.generation > 0) fleet_.desire(last_.generation, force);
  // What a large change took is not needed until the next one.
  if (outcome.report.generation) ::malloc_trim(0);
  save();
  co_return outcome;
}

std::uint64_t Engine::generation_in_force() {
  std::uint64_t generation = 0;
  const auto read = store_->read([&](store::View& view) -> Result<> {
    const auto meta = view.meta();
    if (!meta) return meta.error();
    generation = meta->generation;
    return {};
  });
  return read ? generation : 0;
}

bool Engine::note_reads(const Reads& reads) {
  bool failed = false;
  for (std::size_t i = 0; i < reads.results.size(); ++i) {
    const auto& name = reader_->source(i).name;
    const auto& verdict = reads.results[i].verdict;
    auto& status = runtime_.sources[name];
    status.complete = verdict.has_value();
    if (!verdict) {
      failed = true;
      status.last_error = verdict.error().message;
      auto event = failure(EventKind::poll_failed,
                           fmt::format("source {} was not read, {}: {}", name,
                                       status.last_success ? "its last good recipients stay"
                                                           : "no good read of it is known",
                                       verdict.error().message),
                           verdict.error().message);
      event.source = name;
      sink_.emit(event);
      continue;
    }
    status.mode = verdict->kind == source::ReadKind::full ? "full" : "incremental";
    status.server = verdict->server;
    status.last_success = system_clock().wall();
    status.last_error.clear();
    for (const auto& warning : verdict->warnings)
      sink_.emit({EventKind::diagnostic, Priority::warning,
                  fmt::format("source {}: {}", name, warning), name});
  }
  return failed;
}

void Engine::tell(const CycleReport& report, store::Cause cause,
                  std::chrono::microseconds duration) {
  for (const auto& value : report.dropped_sample) {
    Event event{
        EventKind::address_dropped, Priority::notice,
        fmt::format("{} {}: {} is no recipient: {}", escape(value.origin), escape(value.attribute),
                    escape(value.text), recipient::to_string(value.drop))};
    event.source = value.source;
    sink_.emit(event);
  }
  if (report.dropped > report.dropped_sample.size())
    sink_.emit({EventKind::address_dropped, Priority::notice,
                fmt::format("{} values in all are no recipients; the first {} are named above",
                            report.dropped, report.dropped_sample.size())});

  if (report.hold && report.hold_is_new) {
    Event event{EventKind::change_held, Priority::warning, {}};
    event.removed = report.hold->removed;
    event.added = report.hold->added;
    event.total = report.accepted;
    event.digest = report.hold->digest.hex();
    event.error = report.hold->reason;
    event.message = report.current == 0
                        ? fmt::format("the first table is held: {}", report.hold->reason)
                        : fmt::format("{} removals are held, these addresses stay accepted: {}",
                                      report.hold->removed, report.hold->reason);
    sink_.emit(event);
  }
  if (report.hold_ended)
    sink_.emit({EventKind::change_approved, Priority::notice, "nothing is held any more"});

  Event event;
  event.duration = duration;
  event.total = report.accepted;
  event.generation = report.current;
  if (!report.generation) {
    event.kind = EventKind::poll_unchanged;
    event.priority = Priority::debug;
    event.message = fmt::format("nothing changed, {} recipients", report.accepted);
    sink_.emit(event);
    return;
  }
  event.added = report.generation->added;
  event.removed = report.generation->removed;
  event.kind = EventKind::poll_changed;
  event.priority = Priority::info;
  event.message = fmt::format("{} added, {} removed, {} changed", report.generation->added,
                              report.generation->removed, report.generation->changed);
  sink_.emit(event);
  event.kind = EventKind::committed;
  event.priority = Priority::notice;
  if (report.generation->digest != Digest{}) event.digest = report.generation->digest.hex();
  event.message = fmt::format("generation {} is in force: {} recipients, {} added, {} removed ({})",
                              report.generation->number, report.accepted, report.generation->added,
                              report.generation->removed, store::to_string(cause));
  sink_.emit(event);
}

void Engine::next_poll(std::optional<WallTime> time) {
  runtime_.next_poll = time;
  save();
}

std::string Engine::summary() const {
  std::string text = last_.generation == 0 ? "no table yet"
                                           : fmt::format("generation {}, {} recipients",
                                                         last_.generation, last_.recipients);
  if (last_.holds)
    text += last_.generation == 0 ? ", it is held" : fmt::format(", {} removals held", last_.held);
  if (fleet_.any_failing()) text += ", a target is failing";
  if (fleet_.any_held()) text += ", a target is held";
  return text;
}

void Engine::save() {
  if (!config_) return;
  runtime_.pushing = fleet_.pushing();
  runtime_.unproven = fleet_.unproven();
  if (const auto saved = save_runtime(config_->state_dir, runtime_); !saved)
    sink_.emit({EventKind::diagnostic, Priority::error, "status.json: " + saved.error().message});
}

}  // namespace rcptsync::service

#include "service/engine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>

#include "base/digest.hpp"
#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/offload.hpp"
#include "service/order_events.hpp"

namespace rcptsync::service {

namespace asio = boost::asio;

namespace {

constexpr std::size_t missed_named = 10;

// How often status.json says how far long work is.
constexpr std::chrono::seconds progress_interval{1};

// What decides how a directory's values are understood, besides the configuration.
std::string this_program() {
  return fmt::format("{} {}", RCPTSYNC_VERSION, sha256(recipient::grammar()).brief());
}

}  // namespace

/// The reads of one cycle, filled by threads that run side by side.
struct Engine::Reads {
  explicit Reads(asio::io_context& io, std::size_t count)
      : results(count), done(io, asio::steady_timer::time_point::max()) {}
  /// What was read of a source; null: nothing in this cycle.
  [[nodiscard]] const SourceRead* of(std::size_t index) const {
    return results[index] ? &*results[index] : nullptr;
  }
  std::vector<std::optional<SourceRead>> results;
  std::set<std::size_t> running;  ///< sources that are being read
  WallTime began = system_clock().wall();
  std::size_t left = 0;
  asio::steady_timer done;
};

Engine::Engine(asio::io_context& io, std::unique_ptr<store::Store> store, EventSink& sink,
               MakeSource make_source)
    : io_(io),
      store_(std::move(store)),
      reporter_(*store_, sink),
      sink_(reporter_),
      make_source_(std::move(make_source)),
      fleet_(io, worker_, *store_, sink_, [this] { save(); }),
      progress_(io) {
  runtime_.pid = ::getpid();
  runtime_.program = this_program();
  runtime_.started = system_clock().wall();
}

Engine::~Engine() {
  if (readers_) readers_->join();
  worker_.join();
}

Result<> Engine::configure(std::shared_ptr<const config::Config> config) {
  auto rules = recipient::Rules::compile(config->recipients);
  if (!rules) return rules.error();
  auto cookies = load_cookies(config->state_dir);
  auto reader = Reader::open(*config, *store_, cookies, make_source_);
  if (!reader) return reader.error();
  auto before = config_ ? runtime_ : load_runtime(config->state_dir);
  // Increments would leave unchanged objects as another version understood them.
  if (before.program != runtime_.program)
    for (auto& [name, source] : before.sources) {
      source.last_full.reset();
      source.mode.clear();
    }
  if (auto done = fleet_.configure(config, before.unproven); !done) return done;
  rules_.emplace(std::move(*rules));
  reader_ = std::move(*reader);
  kept_cookies_ = std::move(cookies);
  runtime_.sources.clear();
  for (const auto& source : config->sources)
    if (const auto known = before.sources.find(source.name); known != before.sources.end())
      runtime_.sources.insert(*known).first->second.watch.clear();
  // One thread for each source that is being read; the pool is idle between two cycles.
  readers_ =
      std::make_unique<asio::thread_pool>(std::clamp<std::size_t>(config->sources.size(), 1, 16));
  config_ = std::move(config);
  reporter_.configure(config_);
  if (!writer_)
    writer_.emplace(config_->state_dir, [this](const Error& error) {
      sink_.emit({EventKind::diagnostic, Priority::error, "status.json: " + error.message});
    });
  hang_bells();
  return {};
}

// ---- doorbells
// ------------------------------------------------------------------------------------------------

void Engine::watch_sources(std::function<void()> rang) {
  rang_ = std::move(rang);
  hang_bells();
}

void Engine::hang_bells() {
  if (!rang_) return;
  if (!bells_)
    bells_ = std::make_unique<Doorbells>(
        io_, sink_,
        Doorbells::Callbacks{[this](const std::string& source) {
                               if (resting_.contains(source)) return;
                               rung_.insert(source);
                               rang_();
                             },
                             [this](const std::string& source, WatchState state) {
                               runtime_.sources[source].watch = to_string(state);
                               save();
                             }});
  bells_->clear();
  rung_.clear();
  resting_.clear();
  for (std::size_t i = 0; i < reader_->size(); ++i)
    if (auto source = reader_->made(i); source && source->can_watch())
      bells_->add(reader_->source(i).name, std::move(source));
}

void Engine::stop_watching() {
  if (bells_) bells_->clear();
}

// ---- reading
// --------------------------------------------------------------------------------------------------

ReadOrder Engine::order_for(std::size_t index, const CycleRequest& request) const {
  ReadHistory history;
  history.has_cookie = reader_->has_cookie(index);
  history.unconfirmed = reader_->unconfirmed(index);
  bool increments = false;
  if (const auto known = runtime_.sources.find(reader_->source(index).name);
      known != runtime_.sources.end()) {
    history.last_full = known->second.last_full;
    history.failed = !known->second.complete && !known->second.last_error.empty();
    increments = known->second.mode == "incremental";
  }
  ReadOrder order;
  order.kind =
      kind_of_read(request.occasion, history, config_->schedule.full, system_clock().wall());
  order.audit = request.occasion == Occasion::poll && increments;
  return order;
}

asio::awaitable<std::shared_ptr<Engine::Reads>> Engine::read_sources(const CycleRequest& request,
                                                                     std::stop_token stop) {
  auto reads = std::make_shared<Reads>(io_, reader_->size());
  const auto sources = request.occasion == Occasion::order ? 0 : reader_->size();
  for (std::size_t index = 0; index < sources; ++index) {
    if (request.occasion == Occasion::ring &&
        !request.sources.contains(reader_->source(index).name))
      continue;
    ++reads->left;
    reads->running.insert(index);
    const auto order = order_for(index, request);
    asio::post(*readers_, [this, reads, index, order, stop] {
      reads->results[index] = reader_->read(index, order, stop);
      asio::post(io_, [reads, index] {
        reads->running.erase(index);
        if (--reads->left == 0) reads->done.cancel();
      });
    });
  }
  reading_ = reads;
  follow_progress();
  while (reads->left > 0) {
    boost::system::error_code ignored;
    co_await reads->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  reading_.reset();
  for (auto& [name, status] : runtime_.sources) status.reading.reset();
  co_return reads;
}

asio::awaitable<CycleOutcome> Engine::cycle(CycleRequest request, std::stop_token stop) {
  const auto began = system_clock().steady();
  const auto began_wall = system_clock().wall();
  CycleOutcome outcome;
  auto reads = co_await read_sources(request, stop);
  outcome.stopped = stop.stop_requested();
  if (outcome.stopped) co_return outcome;
  outcome.sources_failed = note_reads(*reads);
  const bool every_source =
      request.occasion == Occasion::poll || request.occasion == Occasion::resync;
  if (every_source) reporter_.polled(runtime_);

  CycleInput input;
  input.rules = &*rules_;
  input.config = config_.get();
  input.cause = request.cause;
  input.now = system_clock().wall();
  input.additions_only = !every_source;
  input.orders = std::move(request.orders);
  for (std::size_t i = 0; i < reader_->size(); ++i) {
    input.sources.push_back(reader_->input(i, reads->of(i)));
    // A second look so soon after the first would see what that saw.
    if (request.occasion == Occasion::ring) input.sources.back().full = false;
    if (const auto* read = reads->of(i); read != nullptr && !read->missed.empty())
      tell_missed(i, *read);
  }
  auto commit = [&] { return commit_cycle(*store_, input); };
  auto report = co_await offload(worker_, commit);
  if (!report) {
    outcome.sources_failed = true;
    // What they said is not known here, so they are not what they were at their last read.
    for (std::size_t i = 0; i < reader_->size(); ++i)
      if (reads->of(i) != nullptr) reader_->failed(i);
    note_rings(request, *reads, false);
    const auto& why = report.error().message;
    sink_.emit(failure(EventKind::poll_failed,
                       "the state cannot be written, the table in force stays: " + why, why));
    // What is in force can be read all the same, and targets that lack it must not wait for a disk.
    auto find = [this] { return generation_in_force(); };
    const auto generation = co_await offload(worker_, find);
    if (generation > 0) fleet_.desire(generation, request.force);
    save();
    co_return outcome;
  }
  outcome.committed = true;
  note_committed(*reads, *report, began_wall);
  note_rings(request, *reads, true);
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
  tell_orders(sink_, input.orders, report->orders);
  tell(*report, duration);
  last_ = {report->current, report->accepted, report->hold ? report->hold->removed : 0,
           report->hold.has_value()};
  outcome.report = std::move(*report);
  if (last_.generation > 0) fleet_.desire(last_.generation, request.force);
  auto keep = [this] { return keep_cookies(); };
  if (auto kept = co_await offload(worker_, keep); !kept)
    sink_.emit({EventKind::diagnostic, Priority::error, "cookies.json: " + kept.error().message});
  // What a large read or change took is not needed until the next one.
  input.sources.clear();
  reads.reset();
  ::malloc_trim(0);
  save();
  co_return outcome;
}

// What rang and could not be read, or not be committed, rings again.
void Engine::note_rings(const CycleRequest& request, const Reads& reads, bool committed) {
  if (request.occasion == Occasion::order) return;
  if (request.occasion != Occasion::ring) {
    resting_.clear();
    return;
  }
  for (std::size_t i = 0; i < reader_->size(); ++i) {
    const auto* read = reads.of(i);
    if (read == nullptr) continue;
    const auto& source = reader_->source(i);
    const bool directory = std::holds_alternative<config::LdapSource>(source.details);
    if (!read->verdict || !committed)
      rung_.insert(source.name);
    else if (directory && read->verdict->kind == source::ReadKind::full)
      resting_.insert(source.name);
  }
}

void Engine::note_committed(const Reads& reads, const CycleReport& report, WallTime began) {
  for (std::size_t i = 0; i < reader_->size(); ++i) {
    const auto* read = reads.of(i);
    if (read == nullptr || !read->verdict) continue;
    reader_->committed(i, *read, report.sources[i]);
    const auto& name = reader_->source(i).name;
    if (read->verdict->kind == source::ReadKind::full) runtime_.sources[name].last_full = began;
    if (bells_) bells_->note(name, reader_->watch_request(i));
  }
}

// After the commit: killed before it, the file still belongs to the state as it was; killed before
// the file is written, the state's own cookie counts.
Result<> Engine::keep_cookies() {
  auto cookies = reader_->newer_cookies();
  if (cookies == kept_cookies_) return {};
  if (auto saved = save_cookies(config_->state_dir, cookies); !saved) return saved;
  kept_cookies_ = std::move(cookies);
  return {};
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
    const auto* read = reads.of(i);
    if (read == nullptr) continue;
    const auto& name = reader_->source(i).name;
    const auto& verdict = read->verdict;
    auto& status = runtime_.sources[name];
    status.complete = verdict.has_value();
    if (!verdict) {
      failed = true;
      reader_->failed(i);
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
    status.behind = verdict->behind;
    status.last_success = system_clock().wall();
    status.last_error.clear();
    for (const auto& warning : reader_->new_warnings(i, *read))
      sink_.emit({EventKind::diagnostic, Priority::warning,
                  fmt::format("source {}: {}", name, warning), name});
  }
  return failed;
}

void Engine::tell_missed(std::size_t index, const SourceRead& read) {
  const auto& name = reader_->source(index).name;
  const auto names = name_missed(index, read);
  const auto why =
      fmt::format("incremental reads missed {}: {}{}", counted(read.missed.size(), "object"),
                  fmt::join(names, "; "), read.missed.size() > names.size() ? "; …" : "");
  auto event =
      failure(EventKind::diagnostic,
              fmt::format("source {}: {}. The full read counts. Until the cause is found, "
                          "a shorter schedule.full or incremental: off keeps the table right",
                          name, why),
              why);
  event.source = name;
  sink_.emit(event);
}

// The first few of them as a person knows them: where they are now, or where the state last saw
// them.
std::vector<std::string> Engine::name_missed(std::size_t index, const SourceRead& read) {
  const auto& upserts = read.changes.upserts;
  std::vector<std::string> names;
  const auto looked_up = store_->read([&](store::View& view) -> Result<> {
    for (const auto& key : read.missed) {
      if (names.size() == missed_named) break;
      std::string name;
      for (std::size_t i = 0; i < upserts.size() && name.empty(); ++i)
        if (upserts.key(i) == key) name = upserts[i].origin;
      const auto stored = view.object(reader_->id(index), key);
      if (name.empty() && stored && *stored) name = (*stored)->origin;
      names.push_back(escape(name.empty() ? key : name));
    }
    return {};
  });
  if (!looked_up) names.push_back(looked_up.error().message);
  return names;
}

void Engine::tell(const CycleReport& report, std::chrono::microseconds duration) {
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
    event.message =
        report.current == 0
            ? fmt::format("the first table is held: {}", report.hold->reason)
            : fmt::format("{} {} accepted: {}", counted(report.hold->removed, "removal"),
                          plural(report.hold->removed, "is held, this address stays",
                                 "are held, these addresses stay"),
                          report.hold->reason);
    sink_.emit(event);
  }
  // Where an operator's order ended all of it, that was said.
  if (const auto ended = report.held_returned + report.held_released;
      report.hold_ended && (ended > 0 || report.orders.empty()))
    sink_.emit({EventKind::change_approved, Priority::notice,
                fmt::format("nothing is held any more: {} accepted again, {} let go",
                            counted(report.held_returned, "address is", "addresses are"),
                            counted(report.held_released, "removal"))});

  Event event;
  event.duration = duration;
  event.total = report.accepted;
  event.generation = report.current;
  if (!report.generation) {
    event.kind = EventKind::poll_unchanged;
    event.priority = Priority::debug;
    event.message = fmt::format("nothing changed, {}", counted(report.accepted, "recipient"));
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
  event.message = fmt::format("generation {} is in force: {}, {} added, {} removed ({})",
                              report.generation->number, counted(report.accepted, "recipient"),
                              report.generation->added, report.generation->removed,
                              store::to_string(report.generation->cause));
  sink_.emit(event);
}

void Engine::next_poll(std::optional<WallTime> time) {
  runtime_.next_poll = time;
  save();
}

std::string Engine::summary() const {
  std::string text = last_.generation == 0 ? "no table yet"
                                           : fmt::format("generation {}, {}", last_.generation,
                                                         counted(last_.recipients, "recipient"));
  if (last_.holds)
    text += last_.generation == 0 ? ", it is held"
                                  : fmt::format(", {} held", counted(last_.held, "removal"));
  if (fleet_.any_failing()) text += ", a target is failing";
  if (fleet_.any_held()) text += ", a target is held";
  return text;
}

void Engine::save() {
  if (!config_) return;
  runtime_.pushing = fleet_.pushing();
  runtime_.progress = fleet_.progress();
  runtime_.unproven = fleet_.unproven();
  for (std::size_t i = 0; reading_ && i < reader_->size(); ++i) {
    auto& status = runtime_.sources[reader_->source(i).name];
    status.reading.reset();
    if (!reading_->running.contains(i)) continue;
    status.reading = reading_->began;
    status.so_far = reader_->so_far(i);
  }
  writer_->save(runtime_);
  reporter_.look(runtime_);
  follow_progress();
}

// Says again and again how far work is that takes longer than a moment.
void Engine::follow_progress() {
  if (!reading_ && fleet_.pushing().empty()) {
    progress_.cancel();
    following_ = false;
    return;
  }
  if (following_) return;
  following_ = true;
  progress_.expires_after(progress_interval);
  progress_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    following_ = false;
    save();
  });
}

}  // namespace rcptsync::service

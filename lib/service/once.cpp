// once — one cycle without the daemon: for real (--once), and on a throwaway copy of the state
// (--once --dry-run).
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <map>
#include <ostream>
#include <thread>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "config/load.hpp"
#include "recipient/address.hpp"
#include "service/daemon.hpp"
#include "service/dry_run.hpp"
#include "service/engine.hpp"
#include "service/offload.hpp"
#include "service/orders.hpp"
#include "service/startup.hpp"

namespace rcptsync::service {
namespace {

namespace asio = boost::asio;

void rethrow(std::exception_ptr failure) {
  if (failure) std::rethrow_exception(failure);
}

/// A temporary folder that goes with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "rcptsync-dry-XXXXXX").native();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The state as it is now, in a folder of its own. A state that is not there yet gives an empty
/// folder.
Result<> copy_state(const std::filesystem::path& from, const std::filesystem::path& to) {
  const auto store = store::open_reader(from);
  if (!store) return store.error().code == Errc::not_found ? Result<>() : store.error();
  return (*store)->copy_to(to);
}

/// The orders that wait in the state folder, sorted by where they are carried out.
struct WaitingOrders {
  std::vector<Order> for_cycle, first_tables, pushes, others;
  bool resync = false;

  explicit WaitingOrders(std::vector<Order> orders) {
    for (auto& order : orders) {
      resync = resync || order.kind == Order::Kind::resync;
      auto& list = order.kind == Order::Kind::push                                        ? pushes
                   : order.kind == Order::Kind::poll || order.kind == Order::Kind::verify ? others
                   : !order.target.empty() ? first_tables
                                           : for_cycle;
      list.push_back(std::move(order));
    }
  }
};

// Carries out what concerns single targets, after the cycle. Every order that was carried out is
// said and forgotten.
asio::awaitable<void> finish_orders(Engine& engine, const config::Config& config,
                                    const WaitingOrders& orders, EventSink& sink) {
  const auto said = [&](const Order& order, const std::string& what, Priority priority) {
    sink.emit({EventKind::diagnostic, priority,
               fmt::format("{} by {}: {}", to_string(order.kind), escape(order.by), what)});
  };
  for (const auto& order : orders.first_tables) {
    const auto approved = co_await engine.fleet().approve(order.target, order.digest);
    said(order, approved ? *approved : approved.error().message,
         approved ? Priority::notice : Priority::warning);
  }
  for (const auto& order : orders.pushes) {
    engine.fleet().hurry(order.targets);
    said(order, "is carried out", Priority::notice);
  }
  for (const auto& order : orders.others) said(order, "is carried out", Priority::notice);
  co_await engine.fleet().idle();
  for (const auto* list : {&orders.for_cycle, &orders.first_tables, &orders.pushes, &orders.others})
    for (const auto& order : *list)
      if (auto removed = remove_order(config.state_dir, order.id); !removed)
        sink.emit({EventKind::diagnostic, Priority::error, removed.error().message});
}

}  // namespace

ExitCode run_once(const std::filesystem::path& config_file, EventSink& sink) {
  auto startup = start_owner(config_file, sink);
  if (startup.code != exit_ok) return startup.code;

  asio::io_context io{1};
  asio::thread_pool waiter{1};
  Engine engine(io, std::move(startup.store), sink);
  if (auto configured = engine.configure(startup.config); !configured) {
    sink.emit({EventKind::diagnostic, Priority::error, configured.error().message});
    return exit_failed;
  }
  std::stop_source stop;
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (error) return;
    stop.request_stop();
    std::thread([limit = startup.config->stop_timeout] {
      std::this_thread::sleep_for(limit);
      ::_exit(exit_failed);
    }).detach();
    engine.fleet().stop(std::chrono::milliseconds(startup.config->stop_timeout) * 7 / 10);
    engine.reporter().stop(startup.config->stop_timeout);
  });
  auto code = exit_failed;
  auto once = [&]() -> asio::awaitable<void> {
    CycleRequest request;
    request.cause = store::Cause::poll;
    std::vector<std::string> damaged;
    auto load = [&] { return load_orders(startup.config->state_dir, &damaged); };
    auto loaded = co_await offload(waiter, load);
    for (const auto& file : damaged)
      sink.emit({EventKind::diagnostic, Priority::error,
                 fmt::format("an order is damaged and not carried out: {}", escape(file, 1000))});
    if (!loaded) sink.emit({EventKind::diagnostic, Priority::error, loaded.error().message});
    const WaitingOrders orders(loaded ? std::move(*loaded) : std::vector<Order>());
    request.orders = orders.for_cycle;
    if (orders.resync) {
      request.occasion = Occasion::resync;
      request.force = true;
    }
    const auto outcome = co_await engine.cycle(std::move(request), stop.get_token());
    // Without a commit they wait for the next time.
    if (outcome.committed) co_await finish_orders(engine, *startup.config, orders, sink);
    co_await engine.fleet().idle();
    auto told = [&] { return engine.reporter().finish(), true; };
    co_await offload(waiter, told);
    if (!stop.stop_requested() && !outcome.sources_failed && !engine.fleet().any_failing())
      code = outcome.report.hold || engine.fleet().any_held() ? exit_held : exit_ok;
    signals.cancel();
    engine.fleet().stop(std::chrono::milliseconds(0));
  };
  asio::co_spawn(io, once, rethrow);
  io.run();
  return code;
}

ExitCode run_dry(const std::filesystem::path& config_file, const DryRunOptions& options,
                 std::ostream& out, EventSink& sink) {
  const auto config = load_configuration(config_file, sink);
  if (!config) return exit_configuration;
  const auto fail = [&](const Error& error) {
    sink.emit({EventKind::diagnostic, Priority::error, error.message});
    return exit_code_of(error);
  };
  const TemporaryFolder folder;
  if (folder.path().empty()) return fail(system_error(errno, "cannot create a temporary folder"));
  if (auto copied = copy_state(config->state_dir, folder.path()); !copied)
    return fail(copied.error());
  auto store = store::open_owner(folder.path());
  if (!store) return fail(store.error());
  auto rules = recipient::Rules::compile(config->recipients);
  if (!rules) return fail(rules.error());
  auto reader = Reader::open(*config, **store);
  if (!reader) return fail(reader.error());

  CycleInput input;
  input.rules = &*rules;
  input.config = config.get();
  input.cause = store::Cause::poll;
  input.now = system_clock().wall();
  bool failed = false;
  DryRun run;
  std::vector<SourceRead> reads((*reader)->size());
  for (std::size_t i = 0; i < reads.size(); ++i) {
    auto& source = run.sources.emplace_back();
    source.name = (*reader)->source(i).name;
    reads[i] = (*reader)->read(i, {source::ReadKind::full, false}, {});
    const auto& verdict = reads[i].verdict;
    if (verdict) {
      source.objects = verdict->objects;
      source.changed = reads[i].changes.upserts.size();
      source.gone = reads[i].changes.removals.size();
    } else {
      failed = true;
      source.error = verdict.error().message;
    }
    input.sources.push_back((*reader)->input(i, &reads[i]));
  }
  auto report = commit_cycle(**store, input);
  if (!report) return fail(report.error());
  run.report = std::move(*report);
  const auto read = (*store)->read([&](store::View& view) { return add_differences(view, run); });
  if (!read) return fail(read.error());
  if (options.json)
    print_dry_run_json(out, run);
  else
    print_dry_run_text(out, run, options.terminal, options.verbose);
  return failed ? exit_failed : run.report.hold ? exit_held : exit_ok;
}

}  // namespace rcptsync::service

#include "service/operator.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/difference.hpp"
#include "service/history.hpp"
#include "service/status_report.hpp"
#include "service/target_tables.hpp"
#include "service/terminal.hpp"
#include "store/ledger.hpp"

namespace rcptsync::service {
namespace {

ExitCode fail(const OperatorContext& context, const Error& error) {
  context.errors.emit({EventKind::diagnostic, Priority::error, error.message});
  return exit_failed;
}

Terminal terminal_of(const OperatorContext& context) {
  return {context.width, context.colour};
}

/// What `gather` makes of one view of the state.
template <class Gather>
auto read_state(const OperatorContext& context, const Gather& gather)
    -> decltype(gather(std::declval<store::View&>())) {
  if (context.store == nullptr)
    return Error{Errc::not_found, fmt::format("{} holds no state yet: rcptsyncd has not run here",
                                              context.config.state_dir.native())};
  decltype(gather(std::declval<store::View&>())) gathered = Error{};
  const auto read = context.store->read([&](store::View& view) -> Result<> {
    gathered = gather(view);
    if (!gathered) return gathered.error();
    return {};
  });
  if (!read) return read.error();
  return gathered;
}

Result<recipient::TableSettings> settings_for(const config::Config& config,
                                              const TableQuery& query) {
  recipient::TableSettings settings;
  if (!query.target.empty()) {
    const config::Target* target = nullptr;
    for (const auto& candidate : config.targets)
      if (candidate.name == query.target) target = &candidate;
    if (target == nullptr)
      return Error{Errc::not_found, fmt::format("no target is named {}", escape(query.target))};
    settings = table_settings(config, *target);
  }
  settings.with_access = settings.with_access || query.access;
  return settings;
}

/// The tables of a generation that is kept, from the ledger.
Result<recipient::Tables> tables_of_generation(store::View& view, std::uint64_t number,
                                               const recipient::TableSettings& settings) {
  const auto generation = view.generation(number);
  if (!generation) return generation.error();
  if (!*generation)
    return Error{Errc::not_found, fmt::format("generation {} is not kept; rcptsyncctl history "
                                              "lists those that are",
                                              number)};
  Result<> walked;
  auto tables = recipient::make_tables(
      [&](const std::function<void(const recipient::Row&)>& take) {
        walked = store::each_row_of(view, number,
                                    [&](std::string_view address, std::string_view reject) {
                                      take({address, reject});
                                      return true;
                                    });
      },
      settings);
  if (!walked) return walked.error();
  const auto& noted = (*generation)->digest;
  if (is_whole_table(settings) && noted != Digest{} && noted != tables.recipients.digest)
    return Error{Errc::damaged,
                 fmt::format("generation {} does not have the digest that it had when it was in "
                             "force: the ledger is damaged; the table in force is not concerned",
                             number)};
  return tables;
}

}  // namespace

ExitCode print_status(const OperatorContext& context, std::ostream& out) {
  const auto report = gather_status(context.config, context.store, system_clock().wall());
  if (!report) return fail(context, report.error());
  if (context.json)
    print_status_json(out, *report);
  else
    print_status_text(out, *report, terminal_of(context));
  return report->failing() ? exit_failed : report->holding() ? exit_held : exit_ok;
}

ExitCode print_diff(const OperatorContext& context, const DifferenceQuery& query,
                    std::ostream& out) {
  const auto difference =
      read_state(context, [&](store::View& view) { return find_difference(view, query); });
  if (!difference) return fail(context, difference.error());
  if (context.json)
    out << difference_json(*difference)
               .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
        << '\n';
  else
    print_difference_text(out, *difference, terminal_of(context), context.verbose);
  return exit_ok;
}

ExitCode print_history(const OperatorContext& context, std::size_t limit, std::ostream& out) {
  const auto generations =
      read_state(context, [&](store::View& view) { return gather_history(view, limit); });
  if (!generations) return fail(context, generations.error());
  if (context.json)
    print_history_json(out, *generations);
  else
    print_history_text(out, *generations, terminal_of(context));
  return exit_ok;
}

ExitCode print_table(const OperatorContext& context, const TableQuery& query, std::ostream& out) {
  const auto settings = settings_for(context.config, query);
  if (!settings) return fail(context, settings.error());
  const auto tables = read_state(context, [&](store::View& view) -> Result<recipient::Tables> {
    if (query.generation) return tables_of_generation(view, *query.generation, *settings);
    auto made = make_target_tables(view, *settings);
    if (!made) return made.error();
    if (made->generation == 0) return Error{Errc::not_found, "there is no table yet"};
    return std::move(made->tables);
  });
  if (!tables) return fail(context, tables.error());
  out << (query.access ? tables->access : tables->recipients).bytes;
  out.flush();
  return out ? exit_ok : exit_failed;
}

ExitCode print_why(const OperatorContext& context, const WhyQuery& query, std::ostream& out) {
  auto report = read_state(
      context, [&](store::View& view) { return gather_why(view, context.config, query.address); });
  if (!report) return fail(context, report.error());
  // Not inside the view: a directory may take its time.
  if (query.live) ask_sources(*report, context.config, context.stop);
  if (context.json)
    print_why_json(out, *report);
  else
    print_why_text(out, *report, terminal_of(context), context.config);
  return report->verdict == WhyReport::Verdict::listed ? exit_ok : exit_not_listed;
}

}  // namespace rcptsync::service

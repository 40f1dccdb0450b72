#include "service/dry_run.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/find_difference.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

void print_sources(std::ostream& out, const DryRun& run, const Terminal& terminal) {
  for (const auto& source : run.sources)
    if (source.error.empty())
      fmt::print(out, "source {}: {}, {} changed, {} gone\n", source.name,
                 counted(source.objects, "object"), source.changed, source.gone);
    else
      fmt::print(out, "source {}: {} {}\n", source.name, terminal.red("not read:"), source.error);
}

void print_dropped(std::ostream& out, const CycleReport& report) {
  if (report.dropped == 0) return;
  fmt::print(out, "{} {} no recipient{}\n", counted(report.dropped, "value"),
             plural(report.dropped, "is", "are"), plural(report.dropped, "", "s"));
  for (const auto& value : report.dropped_sample)
    fmt::print(out, "  {} {}: {}: {}\n", escape(value.origin), escape(value.attribute),
               escape(value.text), recipient::to_string(value.drop));
  out << '\n';
}

void print_guard(std::ostream& out, const DryRun& run, const Terminal& terminal, bool verbose) {
  if (!run.report.hold) {
    fmt::print(out, "guard: nothing is held\n");
    return;
  }
  const auto& hold = *run.report.hold;
  if (run.report.current == 0)
    fmt::print(out, "guard: the first table {} be held ({})\n", terminal.red("would"),
               counted(hold.added, "recipient"));
  else
    fmt::print(out, "guard: {} would be held{}\ndigest {}\n",
               terminal.red(counted(hold.removed, "removal")),
               hold.by_configuration > 0
                   ? fmt::format(", {} of them by the configuration", hold.by_configuration)
                   : "",
               hold.digest.hex());
  for (const auto& reason : run.report.reasons) out << terminal.wrapped(reason, 2);
  if (!run.held || run.held->entries.empty()) return;
  out << '\n';
  print_totals(out, totals_of(*run.held), terminal, verbose);
  if (verbose) print_entries(out, *run.held, terminal, verbose);
}

}  // namespace

Result<> add_differences(store::View& view, DryRun& run) {
  if (run.report.generation) {
    auto change = generation_difference(view, run.report.generation->number);
    if (!change) return change.error();
    change->what = Difference::What::cycle;
    run.change = std::move(*change);
  }
  if (run.report.hold) {
    auto held = held_difference(view, *run.report.hold);
    if (!held) return held.error();
    run.held = std::move(*held);
  }
  return {};
}

void print_dry_run_text(std::ostream& out, const DryRun& run, const Terminal& terminal,
                        bool verbose) {
  print_sources(out, run, terminal);
  const auto totals = run.change ? totals_of(*run.change) : DifferenceTotals{};
  fmt::print(out, "{}; {} afterwards\n\n", headline(totals.all),
             counted(run.report.accepted, "recipient"));
  if (run.change) {
    print_totals(out, totals, terminal, verbose);
    if (verbose) print_entries(out, *run.change, terminal, verbose);
    if (verbose && !run.change->entries.empty()) out << '\n';
  }
  print_dropped(out, run.report);
  print_guard(out, run, terminal, verbose);
}

void print_dry_run_json(std::ostream& out, const DryRun& run) {
  json document = {{"sources", json::array()},
                   {"recipients", run.report.accepted},
                   {"dropped", run.report.dropped},
                   {"change", run.change ? difference_json(*run.change) : json(nullptr)},
                   {"held", run.held ? difference_json(*run.held) : json(nullptr)}};
  for (const auto& source : run.sources)
    document["sources"].push_back(
        {{"name", source.name},
         {"objects", source.objects},
         {"changed", source.changed},
         {"gone", source.gone},
         {"error", source.error.empty() ? json(nullptr) : json(source.error)}});
  out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

}  // namespace rcptsync::service

#include "service/difference.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ostream>
#include <tuple>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;
using store::Operation;
using TotalsByName = std::map<std::string, DifferenceTotal, std::less<>>;

// What a person reads before the rest is asked for with --verbose.
constexpr std::size_t most_totals = 15;
constexpr std::size_t most_entries = 50;  // of each kind

// What is lost comes first.
constexpr std::array in_order{Operation::removed, Operation::changed, Operation::added};

char sign(Operation operation) {
  switch (operation) {
    case Operation::added:
      return '+';
    case Operation::removed:
      return '-';
    case Operation::changed:
      return '~';
  }
  return '?';
}

std::string painted(const Terminal& terminal, Operation operation, std::string_view text) {
  switch (operation) {
    case Operation::added:
      return terminal.green(text);
    case Operation::removed:
      return terminal.red(text);
    case Operation::changed:
      return terminal.yellow(text);
  }
  return std::string(text);
}

void count(DifferenceTotal& total, Operation operation) {
  total.added += operation == Operation::added;
  total.removed += operation == Operation::removed;
  total.changed += operation == Operation::changed;
}

void count(TotalsByName& totals, std::string_view name, Operation operation) {
  auto place = totals.find(name);
  if (place == totals.end()) place = totals.emplace(name, DifferenceTotal{}).first;
  count(place->second, operation);
}

std::vector<DifferenceTotal> sorted(
    TotalsByName totals, const std::map<std::string, std::uint64_t, std::less<>>* in_force) {
  std::vector<DifferenceTotal> list;
  for (auto& [name, total] : totals) {
    total.name = name;
    if (in_force != nullptr) {
      const auto known = in_force->find(name);
      total.in_force = known == in_force->end() ? 0 : known->second;
    }
    list.push_back(std::move(total));
  }
  const auto loss = [](const DifferenceTotal& total) {
    return std::tuple(total.removed, total.changed, total.added);
  };
  std::stable_sort(list.begin(), list.end(),
                   [&](const auto& a, const auto& b) { return loss(a) > loss(b); });
  return list;
}

std::string source_name(const Difference& difference, store::SourceId id) {
  const auto known = difference.sources.find(id);
  return known == difference.sources.end() ? fmt::format("source {}", id) : known->second;
}

void add_rows(Columns& columns, std::string_view heading, const std::vector<DifferenceTotal>& list,
              bool with_in_force, const Terminal& terminal, bool verbose) {
  if (list.empty()) return;
  std::vector<std::string> header{terminal.bold(heading), "REMOVED", "CHANGED", "ADDED"};
  if (with_in_force) header.emplace_back("IN FORCE");
  columns.add(std::move(header));
  const auto shown = verbose ? list.size() : std::min(list.size(), most_totals);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& total = list[i];
    std::vector<std::string> cells{escape(total.name), std::to_string(total.removed),
                                   std::to_string(total.changed), std::to_string(total.added)};
    if (total.removed > 0) cells[1] = terminal.red(cells[1]);
    if (with_in_force) cells.push_back(std::to_string(total.in_force.value_or(0)));
    columns.add(std::move(cells));
  }
  if (shown < list.size())
    columns.note(fmt::format("and {} more; --verbose lists all\n", list.size() - shown));
  columns.note("\n");
}

std::string entry_line(const Difference::Entry& entry, const Terminal& terminal, bool verbose) {
  const auto& change = entry.change;
  auto line = fmt::format("{} {}{}", sign(change.operation), escape(change.address),
                          change.reject.empty() ? "" : " " + escape(change.reject, 400));
  line = painted(terminal, change.operation, line);
  if (verbose && !change.before.empty())
    line += fmt::format(" (was: {})", escape(change.before, 400));
  if (verbose && entry.by_configuration) line += " (by the configuration)";
  return line;
}

json total_json(const DifferenceTotal& total, bool named) {
  json object = {{"added", total.added}, {"removed", total.removed}, {"changed", total.changed}};
  if (named) object["name"] = total.name;
  object["in_force"] = total.in_force ? json(*total.in_force) : json(nullptr);
  return object;
}

json totals_json(const std::vector<DifferenceTotal>& list) {
  auto array = json::array();
  for (const auto& total : list) array.push_back(total_json(total, true));
  return array;
}

json entry_json(const Difference& difference, const Difference::Entry& entry) {
  const auto& change = entry.change;
  const auto or_null = [](const std::string& text) {
    return text.empty() ? json(nullptr) : json(text);
  };
  json object = {{"address", change.address},
                 {"reject", or_null(change.reject)},
                 {"before", or_null(change.before)},
                 {"source", nullptr},
                 {"class", nullptr},
                 {"by_configuration", entry.by_configuration}};
  if (difference.attributed) {
    object["source"] = source_name(difference, change.source);
    object["class"] = recipient::to_string(change.kind);
  }
  return object;
}

}  // namespace

std::string_view to_string(Difference::What what) {
  switch (what) {
    case Difference::What::generation:
      return "generation";
    case Difference::What::between:
      return "between";
    case Difference::What::held:
      return "held";
    case Difference::What::first_table:
      return "first-table";
    case Difference::What::pending:
      return "pending";
    case Difference::What::cycle:
      return "cycle";
  }
  return "generation";
}

DifferenceTotals totals_of(const Difference& difference) {
  DifferenceTotals totals;
  TotalsByName domains, sources, classes;
  for (const auto& [change, by_configuration] : difference.entries) {
    count(totals.all, change.operation);
    totals.by_configuration += by_configuration ? 1 : 0;
    count(domains, recipient::domain_of(change.address), change.operation);
    if (!difference.attributed) continue;
    count(sources, source_name(difference, change.source), change.operation);
    count(classes, recipient::to_string(change.kind), change.operation);
  }
  const auto* in_force = difference.in_force ? &*difference.in_force : nullptr;
  if (in_force != nullptr) totals.all.in_force = in_force->all;
  totals.domains = sorted(std::move(domains), in_force ? &in_force->domains : nullptr);
  totals.sources = sorted(std::move(sources), in_force ? &in_force->sources : nullptr);
  totals.classes = sorted(std::move(classes), in_force ? &in_force->classes : nullptr);
  return totals;
}

std::string headline(const DifferenceTotal& total) {
  return fmt::format("{} added, {} removed, {} changed", total.added, total.removed, total.changed);
}

void print_totals(std::ostream& out, const DifferenceTotals& totals, const Terminal& terminal,
                  bool verbose) {
  using Align = Columns::Align;
  Columns columns({Align::left, Align::right, Align::right, Align::right, Align::right});
  const bool with_in_force = totals.all.in_force.has_value();
  add_rows(columns, "DOMAIN", totals.domains, with_in_force, terminal, verbose);
  add_rows(columns, "SOURCE", totals.sources, with_in_force, terminal, verbose);
  add_rows(columns, "CLASS", totals.classes, with_in_force, terminal, verbose);
  out << columns.text(terminal.width);
}

void print_entries(std::ostream& out, const Difference& difference, const Terminal& terminal,
                   bool verbose) {
  for (const auto operation : in_order) {
    std::size_t shown = 0, more = 0;
    for (const auto& entry : difference.entries) {
      if (entry.change.operation != operation) continue;
      if (!verbose && shown == most_entries) {
        ++more;
        continue;
      }
      ++shown;
      out << entry_line(entry, terminal, verbose) << '\n';
    }
    if (more > 0) fmt::print(out, "{} and {} more; --verbose lists all\n", sign(operation), more);
  }
}

void print_difference_text(std::ostream& out, const Difference& difference,
                           const Terminal& terminal, bool verbose) {
  const auto totals = totals_of(difference);
  out << terminal.wrapped(difference.title, 0);
  if (difference.digest != Digest{}) fmt::print(out, "digest {}\n", difference.digest.hex());
  for (const auto& reason : difference.reasons) out << terminal.wrapped(reason, 2);
  fmt::print(out, "{}{}\n", headline(totals.all),
             totals.by_configuration > 0
                 ? fmt::format("; {} by the configuration", totals.by_configuration)
                 : "");
  if (difference.entries.empty()) return;
  out << '\n';
  print_totals(out, totals, terminal, verbose);
  print_entries(out, difference, terminal, verbose);
}

json difference_json(const Difference& difference) {
  const auto totals = totals_of(difference);
  const auto number = [](std::uint64_t generation) {
    return generation == 0 ? json(nullptr) : json(generation);
  };
  json document = {
      {"title", difference.title},
      {"what", to_string(difference.what)},
      {"digest", difference.digest == Digest{} ? json(nullptr) : json(difference.digest.hex())},
      {"from", number(difference.from)},
      {"to", number(difference.to)},
      {"reasons", difference.reasons},
      {"totals",
       {{"all", total_json(totals.all, false)},
        {"by_configuration", totals.by_configuration},
        {"domains", totals_json(totals.domains)},
        {"sources", totals_json(totals.sources)},
        {"classes", totals_json(totals.classes)}}},
      {"added", json::array()},
      {"removed", json::array()},
      {"changed", json::array()}};
  for (const auto& entry : difference.entries) {
    const auto operation = entry.change.operation;
    const auto* list = operation == Operation::added     ? "added"
                       : operation == Operation::removed ? "removed"
                                                         : "changed";
    document[list].push_back(entry_json(difference, entry));
  }
  return document;
}

}  // namespace rcptsync::service

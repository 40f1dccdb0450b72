#include "service/difference.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <array>
#include <map>
#include <ostream>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"

namespace rcptsync::service {
namespace {

char sign(store::Operation operation) {
  switch (operation) {
    case store::Operation::added:
      return '+';
    case store::Operation::removed:
      return '-';
    case store::Operation::changed:
      return '~';
  }
  return '?';
}

}  // namespace

void print_domains(std::ostream& out, const std::vector<store::Change>& changes) {
  std::map<std::string_view, std::array<std::uint64_t, 4>> totals;
  for (const auto& change : changes)
    ++totals[recipient::domain_of(change.address)][static_cast<std::size_t>(change.operation)];
  for (const auto& [domain, count] : totals)
    fmt::print(out, "{}  +{} -{} ~{}\n", escape(domain), count[1], count[2], count[3]);
}

const std::string& text_of(const store::Change& change) {
  return change.operation == store::Operation::removed ? change.before : change.reject;
}

void print_changes(std::ostream& out, const std::vector<store::Change>& changes) {
  for (const auto& change : changes)
    fmt::print(out, "{} {}{}\n", sign(change.operation), escape(change.address),
               text_of(change).empty() ? "" : " " + escape(text_of(change)));
}

void print_difference(std::ostream& out, const CycleReport& report, bool verbose) {
  std::uint64_t added = 0, removed = 0, changed = 0;
  for (const auto& change : report.changes) {
    added += change.operation == store::Operation::added;
    removed += change.operation == store::Operation::removed;
    changed += change.operation == store::Operation::changed;
  }
  fmt::print(out, "{} added, {} removed, {} changed; {} afterwards\n", added, removed, changed,
             counted(report.accepted, "recipient"));
  print_domains(out, report.changes);
  if (verbose) print_changes(out, report.changes);
  if (report.dropped > 0) {
    fmt::print(out, "{} {}\n", counted(report.dropped, "value"),
               plural(report.dropped, "is no recipient", "are no recipients"));
    for (const auto& value : report.dropped_sample)
      fmt::print(out, "  {} {}: {}: {}\n", escape(value.origin), escape(value.attribute),
                 escape(value.text), recipient::to_string(value.drop));
  }
  if (!report.hold) {
    fmt::print(out, "guard: nothing is held\n");
    return;
  }
  if (report.current == 0)
    fmt::print(out, "guard: the first table would be held ({})\n",
               counted(report.hold->added, "recipient"));
  else
    fmt::print(out, "guard: {} would be held, digest {}\n",
               counted(report.hold->removed, "removal"), report.hold->digest.brief());
  for (const auto& reason : report.reasons) fmt::print(out, "  {}\n", reason);
  for (const auto& count : report.domains)
    fmt::print(out, "  {}  -{} of {}\n", escape(count.name), count.removals, count.accepted);
  if (verbose)
    for (const auto& address : report.held) fmt::print(out, "- {} (held)\n", escape(address));
}

}  // namespace rcptsync::service

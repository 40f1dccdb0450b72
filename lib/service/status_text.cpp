// status_text — a StatusReport at a glance: what needs a person first, then sources and targets.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <ostream>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "service/doorbells.hpp"
#include "service/status_report.hpp"

namespace rcptsync::service {
namespace {

using Align = Columns::Align;
using sync::TargetState;

// Of `rcptsyncctl approve` with the digits of a digest that it needs.
constexpr std::size_t command_width = 34;

std::string between(WallTime from, WallTime to) {
  return human(std::chrono::duration_cast<std::chrono::seconds>(to - from));
}

std::string ago(const std::optional<WallTime>& time, WallTime now) {
  return time ? between(*time, now) + " ago" : "never";
}

std::string in(const std::optional<WallTime>& time, WallTime now) {
  if (!time) return "not scheduled";
  return *time <= now ? "now" : "in " + between(now, *time);
}

// 0 to 100.
std::uint64_t percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : std::min<std::uint64_t>(100, part * 100 / whole);
}

std::string megabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

class Writer {
 public:
  Writer(std::ostream& out, const StatusReport& report, const Terminal& terminal)
      : out_(out), report_(report), terminal_(terminal) {}

  void write() {
    head();
    held();
    refused();
    in_grace();
    pinned();
    orders();
    sources();
    targets();
  }

 private:
  [[nodiscard]] std::string wrapped(std::string_view text, std::size_t indent) const {
    return terminal_.wrapped(text, indent);
  }

  /// What to type, and what that does.
  [[nodiscard]] static std::string command(std::string_view words, std::string_view does) {
    return words.size() > command_width
               ? fmt::format("  {}\n  {:<{}}  {}\n", words, "", command_width, does)
               : fmt::format("  {:<{}}  {}\n", words, command_width, does);
  }

  [[nodiscard]] std::string reasons(std::string_view joined) const {
    std::string lines;
    while (!joined.empty()) {
      const auto end = joined.find("; ");
      lines += wrapped(joined.substr(0, end), 2);
      joined.remove_prefix(end == std::string_view::npos ? joined.size() : end + 2);
    }
    return lines;
  }

  void head() {
    fmt::print(out_, "rcptsync {}, daemon {}", RCPTSYNC_VERSION,
               report_.running ? "running" : terminal_.yellow("not running"));
    if (report_.running) fmt::print(out_, ", next poll {}", in(report_.next_poll, report_.now));
    out_ << '\n';
    if (!report_.last) {
      out_ << "no table yet\n";
      return;
    }
    fmt::print(out_, "generation {} of {}: {}\ndigest {}\n", report_.generation,
               rfc3339(report_.last->time), counted(report_.recipients, "recipient"),
               report_.last->digest.hex());
  }

  void held() {
    if (!report_.held) return;
    const auto& hold = *report_.held;
    const bool first = report_.generation == 0;
    fmt::print(out_, "\n{} since {}: {}{}\n  {}\n{}", terminal_.red("HELD"), rfc3339(hold.since),
               first ? fmt::format("the first table ({})", counted(hold.added, "recipient"))
                     : counted(hold.removed, "removal"),
               hold.by_configuration > 0
                   ? fmt::format(", {} by the configuration", hold.by_configuration)
                   : "",
               hold.digest.hex(), reasons(hold.reason));
    out_ << command("rcptsyncctl diff", "shows it");
    if (first) return;
    out_ << command("rcptsyncctl approve " + hold.digest.brief(), "lets these addresses go");
    out_ << command("rcptsyncctl reject " + hold.digest.brief(), "keeps them");
  }

  void refused() {
    for (const auto& refusal : report_.refused) {
      const auto line = fmt::format("{} by {} {}: {}", terminal_.yellow("REFUSED"),
                                    refusal.by.empty() ? "somebody" : escape(refusal.by),
                                    ago(refusal.time, report_.now),
                                    counted(refusal.count, "address stays", "addresses stay"));
      fmt::print(out_, "\n{}  {}\n", wrapped(line, 0), refusal.digest.hex());
      out_ << command("rcptsyncctl approve " + refusal.digest.brief(), "lets them go after all");
    }
  }

  void in_grace() {
    const auto& grace = report_.in_grace;
    if (grace.count == 0) return;
    fmt::print(out_, "\n{}: {}, the first of them goes {}\n", terminal_.yellow("IN GRACE"),
               counted(grace.count, "vanished address", "vanished addresses"),
               in(grace.next_end, report_.now));
  }

  void pinned() {
    if (report_.pinned == 0) return;
    auto line = fmt::format("{} to generation {} by a rollback", terminal_.yellow("PINNED"),
                            report_.pinned);
    if (report_.pending)
      line += fmt::format("; pending: {} added, {} removed, {} changed", report_.pending->added,
                          report_.pending->removed, report_.pending->changed);
    out_ << '\n'
         << wrapped(line, 0) << command("rcptsyncctl diff", "shows what is pending")
         << command("rcptsyncctl resync", "returns to what the sources say");
  }

  void orders() {
    if (report_.orders.empty()) return;
    fmt::print(out_, "\n{} that {}\n", terminal_.yellow("ORDERS"),
               report_.running ? "wait for the daemon" : "wait for a daemon to start");
    for (const auto& order : report_.orders)
      out_ << wrapped(fmt::format("{}{} by {}, {}", to_string(order.kind), object_of(order),
                                  order.by.empty() ? "somebody" : escape(order.by),
                                  ago(order.given, report_.now)),
                      2);
  }

  /// What an order is about.
  [[nodiscard]] static std::string object_of(const Order& order) {
    if (order.digest != Digest{}) return " " + order.digest.brief();
    if (order.generation > 0) return fmt::format(" {}", order.generation);
    return order.targets.empty() ? "" : fmt::format(" {}", fmt::join(order.targets, " "));
  }

  void sources() {
    Columns columns({Align::left, Align::left, Align::right, Align::right, Align::left});
    columns.add({terminal_.bold("SOURCE"), "TYPE", "OBJECTS", "RECIPIENTS", "LAST READ"});
    for (const auto& source : report_.sources) {
      columns.add({source.name, source.type, std::to_string(source.objects),
                   std::to_string(source.recipients),
                   ago(source.runtime.last_success, report_.now)});
      columns.note(details(source));
    }
    out_ << '\n' << columns.text(terminal_.width);
  }

  // How a source was read, and what its removals wait for.
  [[nodiscard]] std::string details(const StatusReport::Source& source) const {
    const auto& runtime = source.runtime;
    std::vector<std::string> parts;
    if (!runtime.mode.empty()) parts.push_back(runtime.mode + " read");
    if (!runtime.server.empty()) parts.push_back("from " + escape(runtime.server));
    if (runtime.last_full) parts.push_back("full read " + ago(runtime.last_full, report_.now));
    switch (watch_state_of(runtime.watch)) {
      case WatchState::connected:
        parts.emplace_back("tells of changes");
        break;
      case WatchState::connecting:
      case WatchState::lost:
        parts.emplace_back("does not tell of changes now");
        break;
      case WatchState::unable:
        parts.emplace_back("cannot tell of changes");
        break;
      case WatchState::none:
        break;
    }
    auto text = wrapped(fmt::format("{}", fmt::join(parts, ", ")), 2);
    if (runtime.reading) text += wrapped(reading(source), 2);
    if (!runtime.behind.empty())
      text += wrapped("behind, removals wait: " + escape(runtime.behind, 400), 2);
    else if (source.waiting)
      text += wrapped("removals wait for a full read that confirms them", 2);
    if (!runtime.last_error.empty())
      text += wrapped(terminal_.red("failing:") + " " + runtime.last_error, 2);
    return text;
  }

  [[nodiscard]] std::string reading(const StatusReport::Source& source) const {
    const auto& runtime = source.runtime;
    return fmt::format("being read for {}: {} so far{}", between(*runtime.reading, report_.now),
                       counted(runtime.so_far, "object"),
                       source.objects > 0 ? fmt::format(", {} % of the last read",
                                                        percent(runtime.so_far, source.objects))
                                          : "");
  }

  void targets() {
    Columns columns({Align::left, Align::left, Align::right, Align::left, Align::left});
    columns.add({terminal_.bold("TARGET"), "STATE", "GENERATION", "LAST SUCCESS", "NEXT ATTEMPT"});
    for (const auto& target : report_.targets) {
      const auto& record = target.record;
      columns.add(
          {target.name, painted(target.state), std::to_string(record.generation),
           ago(record.last_success, report_.now),
           record.next_attempt && report_.running ? in(record.next_attempt, report_.now) : "-"});
      columns.note(details(target));
    }
    out_ << '\n' << columns.text(terminal_.width);
  }

  [[nodiscard]] std::string painted(TargetState state) const {
    const auto text = sync::to_string(state);
    if (state == TargetState::current) return terminal_.green(text);
    if (state == TargetState::failing || state == TargetState::held) return terminal_.red(text);
    return state == TargetState::disabled ? std::string(text) : terminal_.yellow(text);
  }

  [[nodiscard]] std::string details(const StatusReport::Target& target) const {
    const auto& record = target.record;
    std::string text;
    if (target.push && target.push->total > 0)
      text += wrapped(
          fmt::format("pushing for {}: {} of {}, {} %", between(target.push->since, report_.now),
                      megabytes(target.push->sent), megabytes(target.push->total),
                      percent(target.push->sent, target.push->total)),
          2);
    else if (target.push)
      text += wrapped("pushing for " + between(target.push->since, report_.now), 2);
    if (!record.last_error.empty()) text += wrapped(record.last_error, 2);
    if (record.hold && target.state == TargetState::held) {
      text += fmt::format("  {}\n", record.hold->digest.hex());
      text += command("rcptsyncctl diff --target " + target.name, "shows what it would lose");
      text += command("rcptsyncctl approve " + record.hold->digest.brief(), "lets it go there");
    }
    return text;
  }

  std::ostream& out_;
  const StatusReport& report_;
  const Terminal& terminal_;
};

}  // namespace

void print_status_text(std::ostream& out, const StatusReport& report, const Terminal& terminal) {
  Writer(out, report, terminal).write();
}

}  // namespace rcptsync::service

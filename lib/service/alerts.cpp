#include "service/alerts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/plural.hpp"
#include "journal/fields.hpp"

namespace rcptsync::service {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_an_hour = 20;
constexpr auto sum_after = 1min;           ///< what waits that long is summed up
constexpr std::size_t most_waiting = 200;  ///< with all their texts; further ones are counted

/// The key of AlertMemory::failing that stands for the state folder.
const std::string the_state;

AlertDetails text_or_null(const std::string& text) {
  return text.empty() ? AlertDetails(nullptr) : AlertDetails(text);
}

AlertDetails time_or_null(const std::optional<WallTime>& time) {
  return time ? AlertDetails(rfc3339(*time)) : AlertDetails(nullptr);
}

void move_forward(std::optional<WallTime>& due, WallTime time) {
  if (!due || time < *due) due = time;
}

/// A condition that holds now: the alert for its beginning, and what its end is called.
struct Condition {
  Alert alert;
  std::string over;
};

class Look {
 public:
  Look(const config::Notify& settings, const StatusReport& report, const AlertNews& news,
       WallTime started, AlertMemory& memory, std::optional<WallTime>& due)
      : settings_(settings),
        report_(report),
        news_(news),
        started_(started),
        memory_(memory),
        due_(due) {}

  std::vector<Alert> judge() {
    look_at_hold();
    look_at_sources();
    for (const auto& target : report_.targets) look_at_target(target);
    std::erase_if(memory_.behind, [&](const auto& entry) { return !target(entry.first); });
    look_at_drift();
    end_what_is_over();
    begin_what_is_new();
    for (const auto& event : news_.events) tell_once(event);
    return std::move(alerts_);
  }

 private:
  Condition& add(std::string event, const std::string& name, WallTime since) {
    Condition condition;
    condition.alert.condition = name.empty() ? event : fmt::format("{}:{}", event, name);
    condition.alert.event = std::move(event);
    condition.alert.time = report_.now;
    condition.alert.since = std::min(since, report_.now);
    auto key = condition.alert.condition;
    return now_[std::move(key)] = std::move(condition);
  }

  const StatusReport::Target* target(const std::string& name) const {
    for (const auto& target : report_.targets)
      if (target.name == name) return &target;
    return nullptr;
  }

  void look_at_hold() {
    if (!report_.held) return;
    const auto& hold = *report_.held;
    if (report_.generation == 0) {
      auto& [alert, over] = add("first-table-held", "", hold.since);
      alert.summary = "the first table is held";
      over = "the first table is not held any more";
      alert.text = fmt::format(
          "No target gets a table before this is settled; each keeps the one that it has. {}.",
          hold.reason);
      alert.details = {{"recipients", hold.added}, {"reason", hold.reason}};
      return;
    }
    const auto digest = hold.digest.hex();
    auto& [alert, over] = add("change-held", digest, hold.since);
    const auto removals = counted(hold.removed, "removal");
    alert.summary = fmt::format("{} {} held", removals, plural(hold.removed, "is", "are"));
    over = fmt::format("{} {} not held any more", removals, plural(hold.removed, "is", "are"));
    alert.text = fmt::format(
        "{}. These addresses stay accepted until the sources supply them again or a person "
        "decides: `rcptsyncctl diff` lists them, `rcptsyncctl approve {}` lets exactly these go, "
        "`rcptsyncctl reject {}` keeps them.",
        hold.reason, digest, digest);
    alert.details = {{"digest", digest},
                     {"removed", hold.removed},
                     {"recipients", report_.recipients},
                     {"reason", hold.reason}};
  }

  void look_at_sources() {
    if (settings_.failing_polls == 0) return;
    for (const auto& [name, failing] : memory_.failing) {
      if (failing.polls < settings_.failing_polls) continue;
      if (name == the_state) {
        auto& [alert, over] = add("state-failing", "", failing.since);
        alert.summary = "the state cannot be written";
        over = "the state is written again";
        alert.text =
            "The table in force stays on every target, and nothing new reaches it. `journalctl -u "
            "rcptsyncd -p err` has the reason; look at the disk of the state folder.";
        alert.details = {{"polls", failing.polls}};
        continue;
      }
      const auto source =
          std::find_if(report_.sources.begin(), report_.sources.end(),
                       [&, &wanted = name](const auto& row) { return row.name == wanted; });
      if (source == report_.sources.end()) continue;
      auto& [alert, over] = add("source-failing", name, failing.since);
      alert.summary =
          fmt::format("source {} was not read for {}", name, counted(failing.polls, "poll"));
      over = fmt::format("source {} is read again", name);
      alert.text = fmt::format(
          "Its last good recipients stay in force, the other sources go on, and removals wait. {}",
          source->runtime.last_error);
      alert.details = {{"source", name},
                       {"type", source->type},
                       {"polls", failing.polls},
                       {"last_success", time_or_null(source->runtime.last_success)},
                       {"error", text_or_null(source->runtime.last_error)}};
    }
  }

  void look_at_target(const StatusReport::Target& target) {
    const auto& record = target.record;
    const bool disabled = target.state == sync::TargetState::disabled;
    if (!disabled && record.hold) {
      const auto digest = record.hold->digest.hex();
      auto& [alert, over] = add("target-held", target.name + ":" + digest, record.hold->since);
      alert.summary = fmt::format("the first push to {} is held", target.name);
      over = fmt::format("the first push to {} is not held any more", target.name);
      alert.text = fmt::format(
          "{} keeps its table: {} of the addresses that it accepts now would go: {}. `rcptsyncctl "
          "approve {}` lets them go.",
          target.name, record.hold->removed, record.hold->reason, digest);
      alert.details = {{"target", target.name},
                       {"host", target.host},
                       {"digest", digest},
                       {"removed", record.hold->removed},
                       {"reason", record.hold->reason}};
    }
    const bool lacks = record.attempts > 0 || record.generation != report_.generation;
    if (disabled || record.hold || report_.generation == 0 || !lacks) {
      memory_.behind.erase(target.name);
      return;
    }
    const AlertMemory::Behind fresh{record.generation, report_.now};
    auto& behind = memory_.behind.try_emplace(target.name, fresh).first->second;
    // One that gets tables, only later than they come, is not behind for all that time.
    if (behind.generation != record.generation || behind.since > report_.now) behind = fresh;
    if (settings_.behind.count() == 0) return;
    // After a start nothing was tried yet: what was behind before gets its time again.
    const auto since = record.attempts > 0 ? behind.since : std::max(behind.since, started_);
    if (report_.now < since + settings_.behind && !told("target-behind:" + target.name)) {
      move_forward(due_, since + settings_.behind);
      return;
    }
    auto& [alert, over] = add("target-behind", target.name, behind.since);
    alert.summary = fmt::format(
        "target {} is behind for {}", target.name,
        human(std::chrono::duration_cast<std::chrono::seconds>(report_.now - behind.since)));
    over = fmt::format("target {} is current again", target.name);
    alert.text = fmt::format(
        "It keeps the table of {}; generation {} is in force. It is tried again by itself. {}",
        record.generation == 0 ? "before" : fmt::format("generation {}", record.generation),
        report_.generation, record.last_error);
    alert.details = {{"target", target.name},
                     {"host", target.host},
                     {"generation", record.generation},
                     {"wanted", report_.generation},
                     {"attempts", record.attempts},
                     {"last_success", time_or_null(record.last_success)},
                     {"error", text_or_null(record.last_error)}};
  }

  // A drift begins with its event and ends with the next push or look that leaves the right table.
  void look_at_drift() {
    for (const auto& target : report_.targets) {
      const auto condition = "target-drifted:" + target.name;
      const bool known = told(condition);
      bool found = false, mended = false;
      for (const auto& event : news_.events) {
        if (event.target != target.name) continue;
        if (event.kind == EventKind::target_drifted) found = true, mended = false;
        if (event.kind == EventKind::push_done || event.kind == EventKind::target_current)
          mended = true;
      }
      if (!found && (!known || mended || target.state == sync::TargetState::disabled)) continue;
      auto& [alert, over] = add("target-drifted", target.name, report_.now);
      alert.summary = fmt::format("target {} held a table that nobody pushed", target.name);
      over = fmt::format("target {} has the right table again", target.name);
      alert.text = fmt::format(
          "{} Somebody or something else writes {}'s table: a person, another daemon, a restored "
          "backup.",
          mended ? "It was replaced." : "It is replaced by the next push that succeeds.",
          target.name);
      alert.details = {{"target", target.name}, {"host", target.host}, {"mended", mended}};
      // Found and mended at once is one alert, not two.
      if (mended && !known) {
        alerts_.push_back(std::move(alert));
        now_.erase(condition);
      } else if (mended) {
        now_.erase(condition);
      }
    }
  }

  [[nodiscard]] bool told(const std::string& condition) const {
    return memory_.raised.contains(condition);
  }

  void end_what_is_over() {
    std::vector<Alert> ended;
    for (const auto& [name, raised] : memory_.raised) {
      if (now_.contains(name)) continue;
      Alert alert{
          raised.event,
          name,
          Alert::State::cleared,
          report_.now,
          raised.since,
          raised.over,
          fmt::format("It began {} ago.", human(std::chrono::duration_cast<std::chrono::seconds>(
                                              report_.now - raised.since))),
          raised.details};
      ended.push_back(std::move(alert));
    }
    for (const auto& alert : ended) memory_.raised.erase(alert.condition);
    alerts_.insert(alerts_.begin(), ended.begin(), ended.end());
  }

  void begin_what_is_new() {
    for (auto& [name, condition] : now_) {
      if (told(name)) continue;
      auto& alert = condition.alert;
      memory_.raised[name] = {alert.event, alert.since, std::move(condition.over), alert.details};
      alerts_.push_back(std::move(alert));
    }
  }

  void tell_once(const Event& event) {
    Alert alert;
    alert.event = to_string(event.kind);
    alert.time = alert.since = report_.now;
    alert.text = event.message;
    const auto removals = event.removed ? counted(*event.removed, "removal") : "held removals";
    const bool decided =
        event.kind == EventKind::change_approved || event.kind == EventKind::change_rejected;
    if (decided && !event.digest.empty()) {
      alert.condition = fmt::format("{}:{}", alert.event, event.digest);
      alert.summary = fmt::format(
          "{} {}", removals, event.kind == EventKind::change_approved ? "approved" : "rejected");
      alert.details = {{"digest", event.digest}};
    } else if (event.kind == EventKind::rolled_back) {
      const auto generation = event.generation.value_or(0);
      alert.condition = fmt::format("{}:{}", alert.event, generation);
      alert.summary = "the recipients were rolled back";
      alert.details = {{"generation", generation}};
      if (event.added) alert.details["added"] = *event.added;
    } else {
      return;
    }
    if (!event.target.empty()) alert.details["target"] = event.target;
    if (event.removed) alert.details["removed"] = *event.removed;
    alerts_.push_back(std::move(alert));
  }

  const config::Notify& settings_;
  const StatusReport& report_;
  const AlertNews& news_;
  WallTime started_;
  AlertMemory& memory_;
  std::optional<WallTime>& due_;
  std::map<std::string, Condition> now_;  ///< what holds now, by condition
  std::vector<Alert> alerts_;
};

Alert sum_up(const std::vector<Alert>& waiting, std::uint64_t not_listed, WallTime now) {
  constexpr std::size_t most_listed = 100;
  Alert sum;
  sum.event = sum.condition = "alerts-summed-up";
  sum.time = now;
  sum.since = waiting.front().time;
  std::uint64_t raised = 0;
  auto list = AlertDetails::array();
  for (const auto& alert : waiting) {
    const bool begins = alert.state == Alert::State::raised;
    if (begins) ++raised;
    if (list.size() < most_listed)
      list.push_back({{"event", alert.event},
                      {"condition", alert.condition},
                      {"state", begins ? "raised" : "cleared"},
                      {"time", rfc3339(alert.time)},
                      {"summary", alert.summary}});
  }
  const auto all = waiting.size() + not_listed;
  sum.summary = fmt::format("{} more alerts", all);
  sum.text = fmt::format(
      "At most {} alerts are sent in an hour; these came on top of them. `rcptsyncctl status` "
      "shows "
      "how things are now.",
      most_an_hour);
  const auto listed = list.size();
  sum.details = {{"raised", raised},
                 {"cleared", waiting.size() - raised},
                 {"not_listed", all - listed},
                 {"alerts", std::move(list)}};
  return sum;
}

}  // namespace

std::string document(const Alert& alert, std::string_view host) {
  const AlertDetails json = {{"version", 1},
                             {"event", alert.event},
                             {"condition", alert.condition},
                             {"state", alert.state == Alert::State::raised ? "raised" : "cleared"},
                             {"time", rfc3339(alert.time)},
                             {"since", rfc3339(alert.since)},
                             {"host", host},
                             {"summary", journal::one_line(alert.summary)},
                             {"text", journal::one_line(alert.text)},
                             {"details", alert.details}};
  return json.dump(-1, ' ', false, AlertDetails::error_handler_t::replace) + "\n";
}

void count_failures(const StatusReport& report, const AlertNews& news, AlertMemory& memory) {
  for (const auto& [name, polls] : news.failed_polls) {
    auto& failing =
        memory.failing.try_emplace(name, AlertMemory::Failing{0, report.now}).first->second;
    failing.polls += std::min(polls, UINT32_MAX - failing.polls);
  }
  const auto well = [&](const auto& entry) {
    if (entry.first == the_state) return false;
    for (const auto& source : report.sources)
      // After a start nothing was read yet: that is neither well nor failing.
      if (source.name == entry.first)
        return source.runtime.complete && source.runtime.last_error.empty();
    return true;
  };
  std::erase_if(memory.failing, well);
  // The last word of several.
  for (const auto& event : news.events) {
    if (event.kind == EventKind::poll_changed || event.kind == EventKind::poll_unchanged)
      memory.failing.erase(the_state);
    if (event.kind != EventKind::poll_failed || !event.source.empty()) continue;
    auto& failing =
        memory.failing.try_emplace(the_state, AlertMemory::Failing{0, report.now}).first->second;
    if (failing.polls < UINT32_MAX) ++failing.polls;
  }
}

std::vector<Alert> judge(const config::Notify& settings, const StatusReport& report,
                         const AlertNews& news, WallTime started, AlertMemory& memory,
                         std::optional<WallTime>& due) {
  return Look(settings, report, news, started, memory, due).judge();
}

void limit(std::vector<Alert> fresh, WallTime now, AlertMemory& memory,
           std::optional<WallTime>& due) {
  // A clock that was set back must not keep the places of the future taken.
  std::erase_if(memory.sent, [&](WallTime time) { return time > now || time + 1h <= now; });
  const auto send = [&](Alert alert) {
    memory.sent.push_back(now);
    memory.queue.push_back(std::move(alert));
  };
  for (auto& alert : fresh) {
    if (memory.waiting.empty() && memory.sent.size() + 1 < most_an_hour)
      send(std::move(alert));
    else if (memory.waiting.size() < most_waiting)
      memory.waiting.push_back(std::move(alert));
    else
      ++memory.not_listed;
  }
  if (memory.waiting.empty()) return;
  const auto first = memory.waiting.front().time;
  if (first <= now && now < first + sum_after) return move_forward(due, first + sum_after);
  if (memory.sent.size() >= most_an_hour) return move_forward(due, memory.sent.front() + 1h);
  const auto waiting = std::exchange(memory.waiting, {});
  const auto not_listed = std::exchange(memory.not_listed, 0);
  send(waiting.size() + not_listed == 1 ? waiting.front() : sum_up(waiting, not_listed, now));
}

}  // namespace rcptsync::service

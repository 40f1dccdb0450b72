#include "service/alert_file.hpp"

#include <fmt/format.h>

#include "base/digest.hpp"
#include "base/file.hpp"

namespace rcptsync::service {
namespace {

using json = AlertDetails;

constexpr std::size_t largest_file = 16 << 20;
constexpr const char* file_name = "alerts.json";

std::string text_of(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The parts throw if they are not as written; load_alerts() catches that, behind the checksum.
std::string time_text(WallTime time) {
  return rfc3339(time);
}
WallTime time_at(const json& object, const char* key) {
  return parse_rfc3339(object.at(key).get<std::string>()).value();
}

json written(const Alert& alert) {
  return {{"event", alert.event},
          {"condition", alert.condition},
          {"cleared", alert.state == Alert::State::cleared},
          {"time", time_text(alert.time)},
          {"since", time_text(alert.since)},
          {"summary", alert.summary},
          {"text", alert.text},
          {"details", alert.details}};
}

Alert read_alert(const json& object) {
  return {object.at("event").get<std::string>(),
          object.at("condition").get<std::string>(),
          object.at("cleared").get<bool>() ? Alert::State::cleared : Alert::State::raised,
          time_at(object, "time"),
          time_at(object, "since"),
          object.at("summary").get<std::string>(),
          object.at("text").get<std::string>(),
          object.at("details")};
}

json written(const AlertMemory& memory) {
  json raised = json::object(), failing = json::object(), behind = json::object();
  for (const auto& [name, entry] : memory.raised)
    raised[name] = {{"event", entry.event},
                    {"since", time_text(entry.since)},
                    {"over", entry.over},
                    {"details", entry.details}};
  for (const auto& [name, entry] : memory.failing)
    failing[name] = {{"polls", entry.polls}, {"since", time_text(entry.since)}};
  for (const auto& [name, entry] : memory.behind)
    behind[name] = {{"generation", entry.generation}, {"since", time_text(entry.since)}};
  json sent = json::array(), waiting = json::array(), queue = json::array();
  for (const auto& time : memory.sent) sent.push_back(time_text(time));
  for (const auto& alert : memory.waiting) waiting.push_back(written(alert));
  for (const auto& alert : memory.queue) queue.push_back(written(alert));
  return {{"raised", std::move(raised)},   {"failing", std::move(failing)},
          {"behind", std::move(behind)},   {"sent", std::move(sent)},
          {"waiting", std::move(waiting)}, {"not_listed", memory.not_listed},
          {"queue", std::move(queue)}};
}

AlertMemory read_memory(const json& object) {
  AlertMemory memory;
  for (const auto& [name, entry] : object.at("raised").items())
    memory.raised[name] = {entry.at("event").get<std::string>(), time_at(entry, "since"),
                           entry.at("over").get<std::string>(), entry.at("details")};
  for (const auto& [name, entry] : object.at("failing").items())
    memory.failing[name] = {entry.at("polls").get<std::uint32_t>(), time_at(entry, "since")};
  for (const auto& [name, entry] : object.at("behind").items())
    memory.behind[name] = {entry.at("generation").get<std::uint64_t>(), time_at(entry, "since")};
  for (const auto& time : object.at("sent"))
    memory.sent.push_back(parse_rfc3339(time.get<std::string>()).value());
  for (const auto& alert : object.at("waiting")) memory.waiting.push_back(read_alert(alert));
  memory.not_listed = object.at("not_listed").get<std::uint64_t>();
  for (const auto& alert : object.at("queue")) memory.queue.push_back(read_alert(alert));
  return memory;
}

}  // namespace

Result<AlertMemory> load_alerts(const std::filesystem::path& state_dir) {
  const auto path = state_dir / file_name;
  const auto bytes = read_file(path, largest_file);
  if (!bytes && bytes.error().code == Errc::not_found) return AlertMemory();
  if (!bytes) return bytes.error();
  const Error damaged{Errc::damaged,
                      fmt::format("{} is damaged: what holds now is told again", path.native())};
  try {
    const auto document = json::parse(*bytes);
    const auto& alerts = document.at("alerts");
    if (document.at("sha256") != sha256(text_of(alerts)).hex()) return damaged;
    return read_memory(alerts);
  } catch (const json::exception&) {
    return damaged;
  } catch (const std::bad_optional_access&) {
    return damaged;
  }
}

Result<> save_alerts(const std::filesystem::path& state_dir, const AlertMemory& memory) {
  auto alerts = written(memory);
  const auto seal = sha256(text_of(alerts)).hex();
  const json document = {{"alerts", std::move(alerts)}, {"sha256", seal}};
  return replace_file(state_dir / file_name, text_of(document) + "\n", 0600);
}

}  // namespace rcptsync::service

#include "service/runtime.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

constexpr std::size_t largest_file = 16 << 20;
constexpr const char* file_name = "status.json";

json time_or_null(const std::optional<WallTime>& time) {
  return time ? json(rfc3339(*time)) : json(nullptr);
}

std::optional<WallTime> time_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return parse_rfc3339(found->get_ref<const std::string&>());
}

std::string string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::map<std::string, PushProgress> pushes_at(const json& object, const char* key) {
  std::map<std::string, PushProgress> pushes;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_object()) return pushes;
  for (const auto& [name, push] : found->items())
    if (push.is_object())
      pushes[name] = {time_at(push, "since").value_or(WallTime{}), number_at(push, "sent"),
                      number_at(push, "total")};
  return pushes;
}

std::set<std::string> names_at(const json& object, const char* key) {
  std::set<std::string> names;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return names;
  for (const auto& name : *found)
    if (name.is_string()) names.insert(name.get<std::string>());
  return names;
}

}  // namespace

RuntimeStatus load_runtime(const std::filesystem::path& state_dir) {
  RuntimeStatus status;
  const auto bytes = read_file(state_dir / file_name, largest_file);
  if (!bytes) return status;
  const auto document = json::parse(*bytes, nullptr, false);
  if (!document.is_object()) return status;
  if (const auto pid = document.find("pid"); pid != document.end() && pid->is_number_integer())
    status.pid = pid->get<pid_t>();
  status.program = string_at(document, "program");
  status.started = time_at(document, "started");
  status.next_poll = time_at(document, "next_poll");
  if (const auto sources = document.find("sources");
      sources != document.end() && sources->is_object())
    for (const auto& [name, source] : sources->items()) {
      if (!source.is_object()) continue;
      const auto complete = source.find("complete");
      status.sources[name] = {
          string_at(source, "mode"),
          string_at(source, "server"),
          time_at(source, "last_success"),
          string_at(source, "last_error"),
          complete != source.end() && complete->is_boolean() && complete->get<bool>(),
          time_at(source, "last_full"),
          string_at(source, "behind"),
          string_at(source, "watch"),
          time_at(source, "reading"),
          number_at(source, "so_far")};
    }
  status.pushing = names_at(document, "pushing");
  status.progress = pushes_at(document, "progress");
  status.unproven = names_at(document, "unproven");
  return status;
}

Result<> save_runtime(const std::filesystem::path& state_dir, const RuntimeStatus& status) {
  json sources = json::object();
  for (const auto& [name, source] : status.sources)
    sources[name] = {{"mode", source.mode},
                     {"server", source.server},
                     {"last_success", time_or_null(source.last_success)},
                     {"last_error", source.last_error},
                     {"complete", source.complete},
                     {"last_full", time_or_null(source.last_full)},
                     {"behind", source.behind},
                     {"watch", source.watch},
                     {"reading", time_or_null(source.reading)},
                     {"so_far", source.so_far}};
  json progress = json::object();
  for (const auto& [name, push] : status.progress)
    progress[name] = {{"since", rfc3339(push.since)}, {"sent", push.sent}, {"total", push.total}};
  const json document = {{"pid", status.pid},
                         {"program", status.program},
                         {"started", time_or_null(status.started)},
                         {"next_poll", time_or_null(status.next_poll)},
                         {"sources", std::move(sources)},
                         {"pushing", status.pushing},
                         {"progress", std::move(progress)},
                         {"unproven", status.unproven}};
  // Text from outside was escaped on its way in; the replacing handler only keeps a bug from
  // throwing here.
  return replace_file(state_dir / file_name,
                      document.dump(1, ' ', false, json::error_handler_t::replace) + "\n", 0600);
}

RuntimeWriter::RuntimeWriter(std::filesystem::path state_dir,
                             std::function<void(const Error&)> failed,
                             std::chrono::milliseconds interval)
    : state_dir_(std::move(state_dir)),
      failed_(std::move(failed)),
      interval_(interval),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

RuntimeWriter::~RuntimeWriter() {
  thread_.request_stop();
  thread_.join();
}

void RuntimeWriter::save(RuntimeStatus status) {
  {
    const std::lock_guard lock(mutex_);
    newest_ = std::move(status);
  }
  changed_.notify_one();
}

void RuntimeWriter::run(const std::stop_token& stop) {
  bool failing = false;
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return newest_.has_value(); })) {
    const auto status = *std::exchange(newest_, std::nullopt);
    lock.unlock();
    const auto saved = save_runtime(state_dir_, status);
    if (!saved && !failing) failed_(saved.error());
    failing = !saved;
    lock.lock();
    // A stop ends the pause and this loop, but not before what came meanwhile is written.
    changed_.wait_for(lock, stop, interval_, [] { return false; });
  }
}

}  // namespace rcptsync::service

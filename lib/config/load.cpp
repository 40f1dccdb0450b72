#include "config/load.hpp"

#include "base/escape.hpp"
#include "base/file.hpp"
#include "config/sections.hpp"
#include "config/tree.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_file = 4 * 1024 * 1024;

std::filesystem::path absolute_path(const std::filesystem::path& path) {
  std::error_code ignored;  // without a current folder a relative path can only stay as it is
  auto result = std::filesystem::absolute(path, ignored);
  return ignored ? path : result.lexically_normal();
}

// The sections, each after those that it is checked against.
void read_root(Map& map, Config& config) {
  const auto folder = config.file.parent_path();
  const auto section = [&](std::string_view key, auto&& read) {
    if (const auto value = map.find(key)) read(*value);
  };
  std::string state_dir;
  if (map.read("state_dir", state_dir, local_path(folder)) && !state_dir.empty())
    config.state_dir = state_dir;
  section("schedule", [&](const Value& value) { read_schedule(value, config.schedule); });
  if (const auto value = map.require("sources", "[{name: corp, type: active-directory, …}]"))
    read_sources(*value, folder, config.sources);
  section("recipients",
          [&](const Value& value) { read_recipients(value, folder, config.recipients); });
  section("guard", [&](const Value& value) { read_guard(value, config.recipients, config.guard); });
  section("removal", [&](const Value& value) { read_removal(value, config.removal); });
  const auto defaults = map.find("target_defaults");
  const auto targets = map.find("targets");
  read_targets(defaults ? &*defaults : nullptr, targets ? &*targets : nullptr, folder,
               config.targets);
  section("rollout",
          [&](const Value& value) { read_rollout(value, config.targets, config.rollout); });
  section("history", [&](const Value& value) { read_history(value, config.history); });
  section("notify", [&](const Value& value) { read_notify(value, config.notify); });
  map.read("metrics_file", config.metrics_file, local_path(folder));
  map.read("stop_timeout", config.stop_timeout, timeout);
  map.finish();
  if (!map.has("targets"))
    map.warning("targets", "is missing: tables are made, but pushed to nobody");
}

}  // namespace

Loaded load_text(const std::string& yaml, const std::filesystem::path& path) {
  Loaded loaded;
  loaded.config.file = absolute_path(path);
  FaultList faults(escape(loaded.config.file.native(), 4000));
  const auto root = parse_tree(yaml, faults);
  if (root && root->kind == Node::Kind::null) {
    faults.error(0, "", "the file is empty; /usr/share/rcptsync/ has a commented example");
  } else if (root) {
    Map map(Value(*root, "", root->line, faults));
    read_root(map, loaded.config);
    refuse_not_yet(*root, faults);
  }
  loaded.faults = std::move(faults).take();
  return loaded;
}

Loaded load(const std::filesystem::path& path) {
  const auto bytes = read_file(path, max_file);
  if (bytes) return load_text(*bytes, path);
  Loaded loaded;
  loaded.config.file = absolute_path(path);
  loaded.faults.push_back(
      {escape(loaded.config.file.native(), 4000), 0, "", bytes.error().message, false});
  return loaded;
}

}  // namespace rcptsync::config

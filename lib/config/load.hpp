// load — reads the configuration file and says everything that is wrong with it at once.
#pragma once

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"

namespace rcptsync::config {

/// One thing that is wrong, or with `warning` one that is only unwise.
struct Fault {
  std::string file;
  int line = 0;      ///< from 1; 0 if it belongs to no line
  std::string key;   ///< path of the key: `targets[0].port`
  std::string what;  ///< what is wrong, and what to write instead
  bool warning = false;

  /// `file:line: key: what`
  [[nodiscard]] std::string text() const;
};

struct Loaded {
  Config config;              ///< meaningful only without faults
  std::vector<Fault> faults;  ///< errors and warnings in the order of the file

  [[nodiscard]] bool usable() const;  ///< true if all faults are warnings
};

/// Reads and checks `path` (YAML, at most 4 MiB; files that `exclude` names, at most 16 MiB each).
/// No network, no secrets: those are looked at by --check.
Loaded load(const std::filesystem::path& path);

/// The same for text that stands in memory; relative paths are relative to `path`'s folder.
Loaded load_text(const std::string& yaml, const std::filesystem::path& path);

}  // namespace rcptsync::config

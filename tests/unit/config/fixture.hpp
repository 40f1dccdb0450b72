// fixture — a folder with a configuration in it, and its faults as lines of text.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.hpp"

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "rcptsync-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }
  void write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_;
};

/// The least that a configuration needs, in six lines; more can follow.
inline const std::string least = R"(sources:
- name: corp
  type: ldap
  servers: [ldaps://ldap.example.com]
  bind: {method: anonymous}
  filter: (mail=*)
)";

inline rcptsync::config::Loaded load_here(const std::string& yaml) {
  return rcptsync::config::load_text(yaml, "/etc/rcptsync/rcptsync.yaml");
}

/// `line: key: what`, warnings with `warning ` before them, without the remark on missing targets.
inline std::vector<std::string> faults_in(const rcptsync::config::Loaded& loaded) {
  std::vector<std::string> lines;
  for (const auto& fault : loaded.faults) {
    if (fault.warning && fault.key == "targets") continue;
    lines.push_back((fault.warning ? "warning " : "") + std::to_string(fault.line) + ": " +
                    fault.key + ": " + fault.what);
  }
  return lines;
}

inline std::vector<std::string> faults_of(const std::string& yaml) {
  return faults_in(load_here(yaml));
}

using Lines = std::vector<std::string>;

// files — a folder for files that a source reads, and a sink that keeps what it is told.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "source/source.hpp"

namespace rcptsync::source::test {

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "rcptsync-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ / name; }

  /// Writes over the file, in place.
  std::string write(const std::string& name, const std::string& bytes) const {
    const auto path = *this / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  /// As a careful program does: under another name, then renamed.
  std::string replace(const std::string& name, const std::string& bytes) const {
    const auto path = *this / name;
    write(name + ".new", bytes);
    std::filesystem::rename(path + ".new", path);
    return path;
  }
  /// Its time of modification, as seconds from now.
  void set_time(const std::string& name, std::int64_t from_now) const {
    timespec times[2] = {{0, UTIME_OMIT}, {::time(nullptr) + from_now, 0}};
    ::utimensat(AT_FDCWD, (*this / name).c_str(), times, 0);
  }

 private:
  std::filesystem::path path_;
};

struct Seen final : recipient::ObjectSink {
  void upsert(const recipient::Object& object) override {
    auto& values = objects[std::string(object.key)];
    values.clear();
    for (const auto& value : object.values) values.emplace_back(value.text);
    origins[std::string(object.key)] = object.origin;
  }
  bool present(std::string_view) override { return false; }
  void remove(std::string_view) override {}
  void restart() override { objects.clear(); }

  std::map<std::string, std::vector<std::string>> objects;  ///< key → texts
  std::map<std::string, std::string> origins;
};

}  // namespace rcptsync::source::test

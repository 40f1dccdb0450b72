// folder — a temporary folder that goes with everything in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace rcptsync::service::test {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rcptsync-XXXXXX").native();
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace rcptsync::service::test

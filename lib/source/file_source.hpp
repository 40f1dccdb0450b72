// file_source — a source that consists of files on this machine: reads them whole, hands them to
// their parsers, tells the objects.
//
// What it remembers is what each file looked like, by stat(2) and by digest. An incremental read of
// files that did not change reads nothing, or nothing but bytes; any change is a full read.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "source/file_read.hpp"
#include "source/findings.hpp"
#include "source/source.hpp"

namespace rcptsync::source {

struct SourceFile {
  std::string key;  ///< of the configuration: `path`, `passwd`
  std::string path;
  /// Bytes in, findings out; everything else would be the file of another moment. The message
  /// begins with the line.
  std::function<Result<>(std::string bytes, Findings& findings)> parse;
};

struct FileSourcePlan {
  std::vector<SourceFile> files;
  /// All settings that decide what the parsers make of the bytes: with others everything is read.
  std::string settings;
};

std::unique_ptr<Source> create_file_source(FileSourcePlan plan, FileLimits limits = {});

/// check_source(): what reading the files now would say. Waits for nothing.
std::vector<std::string> check_files(const FileSourcePlan& plan);

}  // namespace rcptsync::source

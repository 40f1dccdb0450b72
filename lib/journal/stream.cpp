#include "journal/stream.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string>

namespace rcptsync::journal {

bool names_file(std::string_view value, const struct stat& stat) {
  return value == std::to_string(stat.st_dev) + ":" + std::to_string(stat.st_ino);
}

bool stderr_is_journal() {
  const char* value = std::getenv("JOURNAL_STREAM");
  struct stat stat {};
  return value != nullptr && ::fstat(STDERR_FILENO, &stat) == 0 && names_file(value, stat);
}

}  // namespace rcptsync::journal

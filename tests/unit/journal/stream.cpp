#include "journal/stream.hpp"

#include <string>

#include "catch.hpp"

using rcptsync::journal::names_file;

TEST_CASE("JOURNAL_STREAM names a file by device and inode, exactly") {
  struct stat stat {};
  stat.st_dev = 8;
  stat.st_ino = 23456;
  CHECK(names_file("8:23456", stat));
  for (const auto* wrong : {"", ":", "8:", ":23456", "8:2345", "8:234567", "18:23456", "8:23456 ",
                            "8:0x5ba0", "9:23456"}) {
    INFO(wrong);
    CHECK_FALSE(names_file(wrong, stat));
  }
}

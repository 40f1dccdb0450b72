// lines — what is asked of every text for a terminal.
#pragma once

#include <sstream>
#include <string>

#include "catch.hpp"
#include "service/terminal.hpp"

namespace rcptsync::service::test {

/// No line is wider than 80 columns.
inline void check_fits(const std::string& text, std::size_t width = 80) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(columns_of(line) <= width);
  }
}

}  // namespace rcptsync::service::test

// kinds — every EventKind, so that a test can ask something of each.
#pragma once

#include <vector>

#include "base/event.hpp"

namespace rcptsync::test {

/// All kinds but diagnostic, which is the last one of the enumeration.
inline std::vector<EventKind> named_kinds() {
  std::vector<EventKind> kinds;
  for (int i = 0; i < static_cast<int>(EventKind::diagnostic); ++i)
    kinds.push_back(static_cast<EventKind>(i));
  return kinds;
}

}  // namespace rcptsync::test

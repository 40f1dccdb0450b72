// allocations — counts every `new` of the test program.
#pragma once

#include <cstdint>

/// How often memory was allocated since the program began.
std::uint64_t allocations();

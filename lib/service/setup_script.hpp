// setup_script — config/target/setup.sh, made part of the program when it is built.
#pragma once

#include <string_view>

namespace rcptsync::service {

extern const std::string_view setup_script;

}  // namespace rcptsync::service

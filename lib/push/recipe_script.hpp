// recipe_script — config/target/rebuild.sh, made part of the program when it is built.
#pragma once

#include <string_view>

namespace rcptsync::push {

extern const std::string_view recipe_script;

}  // namespace rcptsync::push

// settings — names the settings of a source that decide what a read of it gives, so that a change
// of the configuration can be told from a change of the data. Pure.
#pragma once

#include "base/digest.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

/// Of everything that decides which objects and addresses a read gives: servers, bases, filter,
/// attributes, the account, files and how they are understood. No secret goes into it, and nothing
/// that only decides how fast or how securely is read.
Digest settings_fingerprint(const config::Source& source);

}  // namespace rcptsync::source

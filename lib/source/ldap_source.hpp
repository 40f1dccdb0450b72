// ldap_source — the source types ldap and active-directory: one read over servers in order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/source.hpp"

namespace rcptsync::source {

/// `source` holds a config::LdapSource. Errc::invalid for settings that this version cannot carry
/// out.
Result<std::unique_ptr<Source>> create_ldap_source(const config::Source& source);

/// check_source() for these types.
std::vector<std::string> check_ldap_source(const config::Source& source);

}  // namespace rcptsync::source

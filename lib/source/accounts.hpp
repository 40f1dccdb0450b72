// accounts — the accounts and aliases of a Unix host: each is a recipient at every one of the
// source's domains.
//
// passwd(5) and aliases(5) as parsers, and the source that reads both.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/file_source.hpp"

namespace rcptsync::source {

/// passwd(5). A line that is none is an error: nobody knows whose it was. Lines of NIS (+, -) are
/// passed over with a warning, comments and blank lines without one.
Result<> parse_passwd(std::string_view text, const config::AccountsSource& settings,
                      Findings& findings);

/// aliases(5), the left-hand sides. Postfix and Sendmail differ: with Sendmail a backslash at the
/// end of a line continues it too, and a name in quotes may hold `\"`; Postfix takes a comment or a
/// blank line in the middle of a continued one. What either of them takes for a name is one here.
Result<> parse_aliases(std::string_view text, const std::vector<std::string>& domains,
                       Findings& findings);

/// A local part as an address has it: in quotes if it is no dot-string.
std::string quoted_local_part(std::string_view name);

/// What the source `settings` reads. `settings` is copied.
FileSourcePlan plan_accounts(const config::AccountsSource& settings);

}  // namespace rcptsync::source

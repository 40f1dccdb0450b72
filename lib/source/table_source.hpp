// table_source — the source type table: a file with addresses in one of the formats that people and
// export programs write.
//
// A bad address in a good file is dropped and named like any other. A file whose structure is not
// that of its format is not believed at all: it may be half of a file, or another one.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"
#include "source/file_source.hpp"

namespace rcptsync::source {

/// Lines of the formats list, postfix (access(5), relay_recipients) and vbscript (`alias:
/// SMTP:address`); `automatic`: each line is what it looks like.
Result<> parse_table_lines(std::string_view text, config::TableFormat format, Findings& findings);

/// A header with a column proxyAddresses, then a row for each object (csvde, Export-Csv).
Result<> parse_csv(std::string_view text, Findings& findings);

/// RFC 2849 content records (ldifde, ldapsearch, slapcat).
Result<> parse_ldif(std::string_view text, Findings& findings);

/// Which format the content shows: ldif, csv, or automatic for one of the line formats.
config::TableFormat recognize_table(std::string_view text);

/// All of the above as settings say, with the rule for empty files.
Result<> parse_table(std::string bytes, const config::FileSource& settings, Findings& findings);

/// True if there is nothing but blank lines and, in text without a header, comments.
bool is_blank_text(std::string_view text);

/// What the source `settings` reads. `settings` is copied.
FileSourcePlan plan_table(const config::FileSource& settings);

}  // namespace rcptsync::source

// table — the exact bytes of what a target gets: a function of the published set and the target's
// settings alone.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "config/config.hpp"

namespace rcptsync::recipient {

/// One row of the published set: canonical address (or `@domain`) and reject text (empty:
/// accepted).
struct Row {
  std::string_view address;
  std::string_view reject;
};

/// Calls the function for every row in bytewise order of the addresses, each address once.
using RowStream = std::function<void(const std::function<void(const Row&)>&)>;

struct File {
  std::string bytes;
  Digest digest;
  std::uint64_t entries = 0;  ///< lines
};

struct Tables {
  File recipients;
  File access;  ///< entries with a reject text; only meaningful with `has_access`
  bool has_access = false;
  /// Rows the format cannot carry (a local part that begins with '#', in Postfix formats): counted,
  /// and the first hundred named.
  std::uint64_t not_carried = 0;
  std::vector<std::string> not_carried_sample;
};

struct TableSettings {
  config::Format format = config::Format::postfix;
  std::vector<std::string> domains;  ///< canonical; empty: all
  bool with_access = false;          ///< the target uses an access table
  /// Only counts and digests are wanted: no file is kept in memory, and File::bytes stays empty.
  bool digest_only = false;
};

/// Sorted bytewise, unique, each line ended by one newline, nothing after the last. Format
/// `postfix`: address TAB OK. Format `list`: address. An address in an internationalised domain
/// stands there in both forms, A-label and U-label; the U-label form is left out where it is longer
/// than 254 octets, and in Postfix formats where Postfix would fold it onto another line's key.
/// Formats not built in here are the caller's check (supported()).
Tables make_tables(const RowStream& rows, const TableSettings& settings);

bool supported(config::Format format);

/// The addresses of a table that some host holds, of any origin: sorted, each once, both forms of
/// an internationalised domain as one. The first column of each line, folded; comments,
/// continuation and blank lines are skipped. A key outside the grammar counts too, in lower case
/// and cut to 320 octets: some MTA answers for it today. For judging a target's table before the
/// first push.
std::vector<std::string> addresses_in(std::string_view table_bytes, config::Format format);

}  // namespace rcptsync::recipient

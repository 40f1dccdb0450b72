// escape — makes bytes from outside safe for a log line, a terminal and a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rcptsync {

/// Printable ASCII and well-formed printable UTF-8 stay; control characters, invalid bytes and
/// backslashes become \n, \t, \\ or \xHH. Longer than `limit` input bytes: cut, with `…(N bytes)`.
std::string escape(std::string_view bytes, std::size_t limit = 200);

/// True if the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong or above
/// U+10FFFF).
bool is_utf8(std::string_view bytes);

/// ASCII upper-case letters to lower case; all other bytes stay.
std::string ascii_lower(std::string_view text);

/// True if the two are equal but for the case of ASCII letters.
bool ascii_equal(std::string_view a, std::string_view b);

}  // namespace rcptsync

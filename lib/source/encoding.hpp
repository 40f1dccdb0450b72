// encoding — the bytes of a text file as UTF-8.
//
// Addresses are nearly always ASCII, which is the same in all of these but UTF-16. So with
// `automatic` only UTF-16 is converted as a whole; a byte that is not UTF-8 stays, and spoils at
// most the value that it stands in.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::source {

/// Without byte order marks, at the start and of files that were joined; without the Ctrl-Z that
/// DOS programs put at the end. Errc::damaged for NUL characters, and for half a character at the
/// end.
Result<std::string> decode_text(std::string bytes, config::Encoding encoding);

/// Each byte as the character that Windows code page 1252 has for it.
std::string from_windows_1252(std::string_view bytes);

}  // namespace rcptsync::source

// unicode — the two things that a local part beyond ASCII needs: which characters it may not hold,
// and when two spellings are the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "recipient/object.hpp"

namespace rcptsync::recipient {

/// Judges text that may be any bytes: not_utf8; control for C0, DEL, C1, bidirectional controls,
/// line separators, the byte order mark and non-characters; else kept.
Drop judge_characters(std::string_view text);

/// True if the UTF-8 text holds white space other than the ASCII space (U+00A0, U+3000, …). Nobody
/// types it into an address; it comes from copying and pasting.
bool holds_wide_space(std::string_view text);

/// Unicode full case folding (default, no language) and NFC, repeated until nothing changes.
/// Nothing if the text is not UTF-8 or does not settle.
std::optional<std::string> fold(std::string_view text);

/// Full case folding alone, as Postfix does it to keys (ICU's u_strFoldCase).
std::string case_fold(std::string_view text);

}  // namespace rcptsync::recipient

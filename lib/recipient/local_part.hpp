// local_part — what stands before the '@' (RFC 5321 §4.1.2, RFC 6531 §3.3), in its one form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "recipient/object.hpp"

namespace rcptsync::recipient {

/// The longest local part, in octets of its canonical form with quotes (RFC 5321 §4.5.3.1.1).
inline constexpr std::size_t max_local_part = 64;

/// RFC 5321 atext: what a dot-string is made of, ASCII only.
bool is_atext(char c);

/// Where the local part ends: the position of its '@'; npos if there is none. The text may be any
/// bytes; a quoted string is passed over whole.
std::size_t local_part_end(std::string_view text);

struct LocalPart {
  std::string canonical;
  Drop drop = Drop::kept;  ///< kept, no_at (nothing there), bad_local_part or too_long
};

/// `text` is UTF-8 without control characters. The canonical form is the content, folded, in quotes
/// only if it is no dot-string, with a backslash only before '"' and '\\'.
///
/// That is the key that Postfix 3.7 asks a table for, whatever quoting the client used: smtpd
/// unquotes the recipient, folds it (ICU's full case folding) and quotes it again if it is no
/// dot-string; only if that key is missing does it ask for the text without quotes. postmap reads a
/// key up to the first white space outside quotes, so spaces inside do no harm.
///
/// Postfix does not normalise. Composed text (NFC), which clients have to send (RFC 6532 §3.1),
/// meets the canonical form but for a letter whose folding frees a mark that NFC then joins with a
/// further one (İ with a second mark): no language writes those.
LocalPart canonical_local_part(std::string_view text);

}  // namespace rcptsync::recipient

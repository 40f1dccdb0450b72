// mailbox — what looks like an address, a mail domain or a reject text, as far as the configuration
// must know it. The room recipient, which knows the whole grammar, folds and compares them.
//
// Pure functions of the text; the Error's message says what is wrong and what to write instead.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace rcptsync::config {

/// A domain: labels of letters, digits and '-', or of non-ASCII characters; at most 253 bytes.
Result<> check_domain(std::string_view text);

/// `local@domain` (RFC 5321 §4.1.2, RFC 6531 §3.3): local part a dot-string or quoted, at most 64
/// bytes.
Result<> check_address(std::string_view text);

/// A local part alone.
Result<> check_local_part(std::string_view text);

/// An access(5) reject: `550 5.1.1 text`. Reply code 4NN or 5NN, then if you like an enhanced code
/// of the same class (RFC 3463), then printable ASCII; at most 400 bytes. 421 and 521 are refused:
/// Postfix hangs up on them, which would hit the other recipients of the same message.
Result<> check_reject(std::string_view text);

}  // namespace rcptsync::config

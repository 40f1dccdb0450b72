// address — what is a mailbox (RFC 5321 §4.1.2, RFC 6531 §3.3), and when two are the same one.
//
// The canonical form is what everything later compares, stores and writes: local part folded
// (Unicode full case folding, NFC; quotes only where they are needed), '@', domain in lower case
// with every U-label as its A-label (IDNA2008, RFC 5891). At most 254 octets. Canonical text holds
// no control character, no white space outside quotes, exactly one '@' outside quotes, and never
// begins with '@'.
#pragma once

#include <string>
#include <string_view>

#include "recipient/object.hpp"

namespace rcptsync::recipient {

struct Parsed {
  std::string canonical;   ///< empty unless kept
  Drop drop = Drop::kept;  ///< kept, or one of empty … bad_domain
};

/// Judges any byte string, without prefix. Surrounding ASCII spaces are ignored; nothing else is
/// forgiven.
Parsed parse_address(std::string_view text);

/// A domain in canonical form (lower-case A-labels, no final dot), or nothing if it is not a host
/// name with at least one label. One label (`localhost`, `corp`) is accepted: some companies use
/// it.
std::string canonical_domain(std::string_view text);

/// The part after the last '@'.
std::string_view domain_of(std::string_view canonical);
std::string_view local_of(std::string_view canonical);

/// The domain with its A-labels as U-labels; the same text if it has none, or none that decode.
std::string unicode_domain(std::string_view canonical_domain);

}  // namespace rcptsync::recipient

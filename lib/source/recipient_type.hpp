// recipient_type — which objects of Exchange are mailboxes of the system itself, to which nobody
// outside has a reason to write: health probes, arbitration, discovery, audit logs, migration,
// federation.
//
// Exchange says it in msExchRecipientTypeDetails, one bit of 64. Objects without that attribute
// (older than Exchange 2007, or unreadable for the account) are known by names that setup gives and
// no administrator would choose. Whatever is not surely one of these is a recipient.
#pragma once

#include <cstdint>
#include <string_view>

namespace rcptsync::source {

/// True for a value of msExchRecipientTypeDetails that is a system mailbox. False for all others:
/// people, rooms, groups, public folder mailboxes, unknown ones, and what is no number.
bool is_system_recipient_type(std::string_view value);

/// True for the DN of an object with a name such as `SystemMailbox{GUID}` or `HealthMailbox` with
/// 32 hexadecimal digits.
bool is_system_mailbox_name(std::string_view dn);

}  // namespace rcptsync::source

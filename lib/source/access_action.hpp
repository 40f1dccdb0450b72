// access_action — what a right-hand side of Postfix's access(5) says about a recipient.
#pragma once

#include <string>
#include <string_view>

namespace rcptsync::source {

/// Empty: the recipient is accepted, or the action says nothing about that. Else the reply, as
/// config::check_reject() wants it: `550 5.1.1 Has left`.
///
/// Only REJECT, DEFER, DEFER_IF_REJECT, DEFER_IF_PERMIT, and a code 4NN or 5NN with a text refuse.
/// OK, RELAY, DUNNO, HOLD and every other word, also one that access(5) does not know, accept: the
/// file may as well be a relay_recipients table, where any value means yes. So does a number alone.
///
/// A reply that could not be published is made one that can, because without any the recipient
/// would be answered with a 550: 421 and 521 hang up, so they become 450 and 550; the class of an
/// enhanced code follows the reply code; what is not printable ASCII becomes `?`.
std::string reject_text(std::string_view action);

}  // namespace rcptsync::source

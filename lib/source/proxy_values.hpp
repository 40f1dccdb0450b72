// proxy_values — several addresses in one text: `SMTP:a@x;smtp:b@x;X400:c=DE;a= ;p=X;`.
//
// The separators also stand inside the addresses of other systems. So a text is first cut only
// before a type (`smtp:`, `X400:`), and only what is e-mail is cut on.
#pragma once

#include <string_view>
#include <vector>

namespace rcptsync::source {

/// True if the text begins with `name:`, as smtp:, X400: and every other address type does.
bool is_typed(std::string_view text);

/// The pieces that begin with a type (or with csvde's X'), after any of `separators` or at the
/// start; what stands before the first type is a piece too. Without blanks around them, none empty.
std::vector<std::string_view> typed_values(std::string_view text, std::string_view separators);

/// All e-mail addresses in it, with their prefix if they have one: typed values cut on at each
/// separator outside quotes, at a bar only behind an '@', without those of other systems.
std::vector<std::string_view> mail_values(std::string_view text, std::string_view separators);

}  // namespace rcptsync::source

// ask — what a source has of one address right now, and why a read of it would leave that out.
//
// A directory is searched below its whole naming contexts, past the source's bases and filter, and
// each object that has the address is then held against them. Files are read as they always are.
// Nothing is changed anywhere.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"

namespace rcptsync::source {

/// Why a read leaves an object or one of its values out.
enum class Missed {
  base,                   ///< it stands below none of the source's bases
  filter,                 ///< the filter does not fit it
  sender_authentication,  ///< it takes mail from authenticated senders only
  system_object,          ///< a mailbox of the system itself
  attribute,              ///< the address stands only in attributes that are not read
  fallback                ///< it stands in a fallback attribute, and the object has addresses
};
/// The setting that decides it: `bases`, `filter`, `sender_authentication`, `addresses`, …
std::string_view setting_of(Missed missed);

struct Sighting {
  struct Value {
    std::string attribute;
    std::string text;  ///< as it stands there
  };
  std::string origin;  ///< DN, or file:line
  recipient::ObjectClass kind = recipient::ObjectClass::other;
  std::vector<Value> values;   ///< those that are the address
  std::vector<Missed> missed;  ///< empty: a read brings it
};

struct Answer {
  std::string server;               ///< that answered; empty: files
  std::vector<std::string> places;  ///< where it was looked for: naming contexts
  std::vector<Sighting> sightings;  ///< at most 20
  bool more = false;
};

/// `address` as a person types it, without prefix. `preferred`: the uri of the server that is asked
/// first. Blocks within the source's timeouts, and until `stop`. Errors as Source::read().
Result<Answer> ask(const config::Source& source, std::string_view address,
                   std::string_view preferred, const std::stop_token& stop);

/// The filter that finds objects with one of these texts in one of these attributes, with and
/// without `smtp:` (RFC 4515; every byte that is not plain is escaped).
std::string address_filter(const std::vector<std::string>& attributes,
                           const std::vector<std::string>& texts);

}  // namespace rcptsync::source

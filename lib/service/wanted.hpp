// wanted — what the owners of an address want it to be. Pure.
//
// The order of words on one address: a static reject text beats all; then acceptance by anybody;
// then a source's reject.
#pragma once

#include <string_view>

#include "store/store.hpp"

namespace rcptsync::service {

struct Wanted {
  bool listed = false;
  std::string_view reject;  ///< listed and empty: accepted
  bool supplied = false;    ///< a source accepts it
  /// Whose word that is: of the sources that accept it the first, then the object with the lowest
  /// key. The configuration only if no source accepts it.
  store::SourceId source = store::configuration_source;
  recipient::ObjectClass kind = recipient::ObjectClass::other;

  [[nodiscard]] bool accepts() const { return listed && reject.empty(); }
};

/// `owners`: Owner or OwnerView, by source and key. The texts stay theirs.
template <class Owners>
Wanted wanted(const Owners& owners) {
  Wanted wanted;
  for (const auto& owner : owners) {
    const bool accepts = owner.reject.empty();
    if (owner.source == store::configuration_source) {
      wanted = {true, owner.reject, false};
      if (!accepts) return wanted;
    } else if (accepts && !wanted.supplied) {
      wanted = {true, {}, true, owner.source, owner.kind};
    } else if (!wanted.listed) {
      wanted = {true, owner.reject, false, owner.source, owner.kind};
    }
  }
  return wanted;
}

}  // namespace rcptsync::service

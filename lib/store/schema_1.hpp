// schema_1 — the records of schema 1 that schema 2 has in another form. What schema 2 added is left
// as it is in an empty record.
//
// The rules are those of codec.hpp: false for bytes that were never written.
#pragma once

#include <functional>
#include <string_view>

#include "store/store.hpp"

namespace rcptsync::store::schema_1 {

[[nodiscard]] bool decode(std::string_view bytes, Meta& out);
[[nodiscard]] bool decode(std::string_view bytes, SourceRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, RecipientRecord& out);
[[nodiscard]] bool decode(std::string_view bytes, Hold& out);
[[nodiscard]] bool decode(std::string_view bytes, TargetRecord& out);
// The texts are views into `bytes`.
[[nodiscard]] bool decode(std::string_view bytes, OwnerView& out);
[[nodiscard]] bool decode(std::string_view bytes, HeldRecord& out);

/// The changes of a piece. A removed row said what text it had had; what a changed one had said
/// before was not written, and is empty here.
[[nodiscard]] bool decode_changes(std::string_view bytes,
                                  const std::function<void(const ChangeView&)>& visit);

}  // namespace rcptsync::store::schema_1

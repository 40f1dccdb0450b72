// upgrade — brings a state of schema 1 to schema 2, in one transaction.
//
// What schema 1 did not write follows from what it did: who supplies a row from its owners, their
// class from their objects, the text before a change from the changes before it. Where that text
// is not known, the generations before are forgotten: their rows could not be told any more.
#pragma once

#include "store/database.hpp"

namespace rcptsync::store {

/// `database` is open for writing, whole, of schema 1, and without a transaction. Either all is
/// done and on the disk afterwards, or nothing is. The environment is to be closed then: LMDB keeps
/// the memory of so large a transaction. Errc::damaged, Errc::no_space. The map grows up to
/// `max_map` bytes.
Result<> upgrade_from_schema_1(Database& database, std::uint64_t max_map);

}  // namespace rcptsync::store

// orders — what an operator decided, as one file each in the state folder, until it is carried out.
//
// The tool writes an order and tells the daemon of it. Without a daemon, or if either of them is
// killed, the file is what remains: it is carried out at the next start. It is removed after the
// commit that carried it out, so a crash between the two carries it out twice, which changes
// nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace rcptsync::service {

/// An address that an order lets go or keeps.
struct Removal {
  std::string address;
  std::string reject;  ///< the text that is to replace it; empty: it is to go
  bool operator==(const Removal&) const = default;
};

struct Order {
  enum class Kind { approve, reject, rollback, resync, poll, push, verify };
  Kind kind = Kind::poll;
  std::string id;  ///< of next_order_id(); orders are carried out in the order of their ids
  std::string by;  ///< user name of who gave it
  WallTime given{};
  Digest digest;  ///< approve, reject: what it is about
  /// Approve, reject of what a cycle holds: all of it, sorted by address; `digest` is theirs. Empty
  /// where the digest names a refusal or a target's first table.
  std::vector<Removal> removals;
  std::string target;                ///< approve: the target whose first table is meant, or empty
  std::uint64_t generation = 0;      ///< rollback
  std::vector<std::string> targets;  ///< push, verify; empty: all (push: all that are not current)
  bool operator==(const Order&) const = default;
};

/// `approve`, `reject`, …
std::string_view to_string(Order::Kind kind);

/// A name that no other order has and that sorts after those before it.
std::string next_order_id();

/// The digest of exactly these removals, as a hold has it.
Digest digest_of(const std::vector<Removal>& removals);

/// Writes `state_dir/orders/ID.json`, mode 0600, owned by whoever owns `state_dir`; it is on the
/// disk when this returns. Errors: Errc::invalid if the id is no file name, or the digest is not
/// that of the removals; and those of the file system.
Result<> save_order(const std::filesystem::path& state_dir, const Order& order);

/// All of them, by id. If `damaged` is given, a file that is damaged is renamed to `ID.bad` and its
/// new path added there; else it stays, for the one who carries orders out and tells of it. No
/// folder, no orders; a link in its place is an error, and one in place of an order is damaged.
Result<std::vector<Order>> load_orders(const std::filesystem::path& state_dir,
                                       std::vector<std::string>* damaged = nullptr);

/// It was carried out. One that is not there is no error.
Result<> remove_order(const std::filesystem::path& state_dir, const std::string& id);

}  // namespace rcptsync::service

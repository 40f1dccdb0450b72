// give_order — from what an operator typed to an order that is saved: what it means now, and
// whether it can be meant.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.hpp"
#include "service/command.hpp"
#include "service/operator.hpp"
#include "service/orders.hpp"

namespace rcptsync::service {

/// The order. `out` gets what it will change, where that is not in the command itself. Errors name
/// what there is instead: a digest that names nothing held, a generation that is not kept, a target
/// that is not configured; Errc::not_found if there is no state yet.
Result<Order> make_order(const Command& command, const OperatorContext& context,
                         const std::string& by, std::ostream& out);

/// make_order() and save_order(): the id of an order that is on the disk. Approval of a first table
/// gives one order for each target that waits with this digest; the id is that of the last one.
Result<std::string> give_order(const Command& command, const OperatorContext& context,
                               const std::string& by, std::ostream& out);

}  // namespace rcptsync::service

// order_events — what operators decided, as events: who, what, and what became of it.
#pragma once

#include <vector>

#include "base/event.hpp"
#include "service/cycle_orders.hpp"
#include "service/orders.hpp"

namespace rcptsync::service {

/// One event for each order that was carried out, and a warning for each that could not be.
/// `results`: in the order of `orders`.
void tell_orders(EventSink& sink, const std::vector<Order>& orders,
                 const std::vector<OrderResult>& results);

}  // namespace rcptsync::service

#include "service/order_events.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/escape.hpp"

namespace rcptsync::service {
namespace {

EventKind kind_of(Order::Kind kind) {
  switch (kind) {
    case Order::Kind::approve:
      return EventKind::change_approved;
    case Order::Kind::reject:
      return EventKind::change_rejected;
    case Order::Kind::rollback:
      return EventKind::rolled_back;
    default:
      return EventKind::diagnostic;
  }
}

}  // namespace

void tell_orders(EventSink& sink, const std::vector<Order>& orders,
                 const std::vector<OrderResult>& results) {
  for (std::size_t i = 0; i < std::min(orders.size(), results.size()); ++i) {
    const auto& order = orders[i];
    const auto& result = results[i];
    const auto said =
        fmt::format("{} by {}: {}", to_string(order.kind), escape(order.by), result.message);
    if (!result.ok) {
      sink.emit({EventKind::diagnostic, Priority::warning, said});
      continue;
    }
    Event event{kind_of(order.kind), Priority::notice, said};
    if (order.kind == Order::Kind::rollback) event.generation = order.generation;
    if (order.kind == Order::Kind::approve || order.kind == Order::Kind::reject) {
      event.digest = order.digest.hex();
      event.removed = result.count;
    }
    sink.emit(event);
  }
}

}  // namespace rcptsync::service

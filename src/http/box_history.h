// GET /box/history?seconds=N: how the box was, as columns (box/history.h).
#pragma once

#include <functional>

#include "box/history.h"
#include "box/mailbox_queue.h"
#include "http/route_table.h"

namespace tinderbox {

// history must outlive the routes.
void add_history_route(RouteTable& routes, const Guarded<History>& history, std::function<double()> now_unix);

// The value of a field of a query ("a=1&b=2"); "" if there is none.
std::string query_field(std::string_view query, std::string_view name);

}  // namespace tinderbox

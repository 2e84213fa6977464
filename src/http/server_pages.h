// What a server says of itself beside its APIs: GET /health, /version, /metrics, and the page's files.
#pragma once

#include <string>
#include <vector>

#include "http/metrics.h"
#include "http/route_table.h"
#include "http/static_files.h"

namespace tinderbox {

// metrics must outlive the routes. open_metrics: they need no key.
void add_server_pages(RouteTable& routes, const std::string& version, Metrics& metrics,
                      std::vector<StaticFile> files, bool open_metrics = false);

}  // namespace tinderbox

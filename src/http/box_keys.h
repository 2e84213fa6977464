// The keys of a box over HTTP: GET /box/keys, POST /box/keys, DELETE /box/keys/ID; for callers who may manage it.
#pragma once

#include <cstdint>
#include <functional>

#include "http/key_book.h"
#include "http/route_table.h"

namespace tinderbox {

struct BoxKeysOptions {
  Entropy entropy;
  std::function<std::int64_t()> now_unix;
};

// keys must outlive the routes. The first key may manage the box unless it is said that it may not: else nobody could.
void add_key_routes(RouteTable& routes, KeyBook& keys, BoxKeysOptions options);

}  // namespace tinderbox

// What stands between the server's sockets and its routes: keys, origins, limits, the request log, and the state that
// is kept across restarts.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "box/history.h"
#include "box/mailbox_queue.h"
#include "box/state_store.h"
#include "cli/commands.h"
#include "cli/serve_log.h"
#include "http/gate.h"
#include "http/key_book.h"

namespace tinderbox::cli {

class ServeGate {
 public:
  // Adds /box/keys and /box/history to the routes, which must outlive it. Throws Error::Invalid if the server would be
  // open to a network without keys. A state folder that cannot be used is told, and goes without.
  ServeGate(const GateOptionsCli& options, const std::string& host, RouteTable& routes);
  HttpHandler handler();
  // How the box is, about once a second. Any thread.
  void sample(History::Sample sample);
  // Of the key that a scheduler knows by its number; "": nobody's. Any thread.
  std::string key_name(std::uint64_t number) const;
  StateStore* store() { return store_.get(); }  // nullptr: nothing is kept

 private:
  std::vector<ApiKey> given_keys(const GateOptionsCli& options) const;
  void open_state(const GateOptionsCli& options);

  WallClock clock_;
  ServeLog log_;
  std::string keys_unreadable_;
  std::unique_ptr<StateStore> store_;
  Guarded<History> history_;
  std::vector<ApiKey> given_;
  std::optional<KeyBook> keys_;
  std::optional<Gate> gate_;
};

// Fills the bytes with what the system says nobody can foresee. Throws Error::Unsupported.
void system_entropy(std::span<std::uint8_t> bytes);
double precise_now_unix();  // seconds with their fraction

}  // namespace tinderbox::cli

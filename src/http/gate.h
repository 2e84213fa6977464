// The door before the routes: who asks (API keys), whether a page of somebody else asks through their browser (Host,
// Origin, CORS), how much a key may ask for, and what came of each request. Nothing passes it unseen.
//
// With keys, everything needs one but the routes marked open and the page's files, which hold no secrets. A request
// that a browser marks as coming from another origin is refused, unless --cors-origin allows it. A server on this
// computer only (loopback) answers to its own names only, so that a name that a stranger points at it is of no use.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "box/state_file.h"
#include "http/http.h"
#include "http/key_book.h"
#include "http/route_table.h"

namespace tinderbox {

struct GateOptions {
  bool loopback = true;                         // only this computer can reach the server
  std::vector<std::string> allowed_hosts = {};  // further names; given: the only ones, wherever it listens
  std::vector<std::string> cors_origins = {};   // "https://app.example", or "*"
  // Why no keys can be known, though there are some: then those of --api-key only.
  std::string keys_unreadable = {};
  std::function<double()> now_unix = {};  // seconds; required
  std::function<TimePoint()> now = {};    // never goes back; required
  std::function<void(const RequestRecord&)> ended =
      {};  // told of each request when it is over, on the caller's thread
};

class Gate {
 public:
  // routes and keys must outlive it, it the responses it gives out. One call at a time.
  Gate(const RouteTable& routes, KeyBook& keys, GateOptions options);
  // An HttpHandler.
  HttpResponse handle(const HttpRequest& request, Wake wake);

 private:
  friend class WatchedStream;
  // A request from its coming to its end.
  struct Visit {
    RequestRecord record;
    TimePoint start;
  };

  HttpResponse admit(const HttpRequest& request, Wake wake, Visit& visit, std::vector<HttpHeader>& headers);
  KeyBook::Entry& holder(const HttpRequest& request);
  void meter(KeyBook::Entry& entry, std::vector<HttpHeader>& headers);
  void end(Visit& visit, int status, const Tally& tally);

  const RouteTable& routes_;
  KeyBook& keys_;
  GateOptions options_;
};

// Of a header's value; "" if it has no name. Without port, brackets and capitals.
std::string host_name(std::string_view host);
// Names that no stranger can point elsewhere: "localhost", "x.localhost", 127.0.0.0/8, ::1.
bool is_loopback_name(std::string_view name);

}  // namespace tinderbox

// HTTP/1.1 over TCP for one HttpHandler: one I/O thread, keep-alive, chunked streams, limits on
// everything a client can send or withhold. A client that goes away while its answer is being made
// destroys the response's stream, which cancels the work. Boost.Beast stays inside http_server.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/siphash.h"
#include "base/units.h"
#include "http/http.h"

namespace tinderbox {

struct ServerOptions {
  std::string address = "127.0.0.1";  // an IP address, or "localhost"
  std::uint16_t port = 8080;          // 0: any free one, see port()
  int listen_fd = -1;                 // a TCP socket that listens already, in place of address and port; taken over
  int connections_max = 16384;        // more are answered 503 and closed
  std::uint32_t header_bytes_max = 32 * 1024;
  std::uint64_t body_bytes_max = 8 * 1024 * 1024;
  Seconds first_request_timeout{15.0};  // from connecting to the end of the first header
  Seconds keep_alive_timeout{75.0};     // the same for later requests
  Seconds body_timeout{60.0};           // from the end of the header to the end of the body
  Seconds write_timeout{60.0};          // for the client to take what was written
  SipKey trace_key{};                   // of the ids of traces that begin here
  Seconds drain{5.0};                   // stop() waits this long for answers in the making
};

class HttpServer {
 public:
  // Listens and serves on a thread of its own until stop(). handler is called on that thread, one
  // call at a time, and must not block. Throws Error::Busy naming the port if it is taken,
  // Error::Invalid if the address is none.
  HttpServer(ServerOptions options, HttpHandler handler);
  ~HttpServer();  // stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  // Takes no new connection, ends idle ones, lets answers finish until the drain time is over, then
  // cuts them off. Returns when all are closed. Not from the handler.
  void stop();

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace tinderbox

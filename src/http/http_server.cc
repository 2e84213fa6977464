#include "http/http_server.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "http/http_connection.h"
#include "http/trace_context.h"

namespace tinderbox {

using namespace http_io;

namespace {

// The usual soft limit of 1,024 open files would be reached before connections_max.
void allow_open_files(int connections_max) {
  constexpr rlim_t kOthers = 256;  // model files, pipes, the listening socket
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, static_cast<rlim_t>(connections_max) + kOthers);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_ip6(int fd) {
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0 && bound.ss_family == AF_INET6;
}

constexpr Seconds kAcceptPause{0.05};  // after a failed accept, e.g. no file descriptor left

}  // namespace

struct HttpServer::Core {
  Core(ServerOptions o, HttpHandler h)
      : options(std::move(o)),
        handler(std::move(h)),
        io(std::make_shared<asio::io_context>(1)),
        acceptor(*io),
        deadline(*io) {}

  void listen();
  void begin_stop();
  void cut_off(Connection& c);
  void remove(Connection* c);

  ServerOptions options;
  HttpHandler handler;
  std::shared_ptr<asio::io_context> io;
  tcp::acceptor acceptor;
  std::uint16_t port = 0;  // the one that was bound
  asio::steady_timer deadline;
  // I/O thread only.
  std::unordered_set<Connection*> connections;
  bool stopping = false;
  std::uint64_t n_requests = 0;
  std::thread thread;
};

namespace {

template <typename Core>
struct Registration {
  Registration(Core& owner, Connection* c) : core(owner), connection(c) {
    core.connections.insert(c);
  }
  ~Registration() { core.remove(connection); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  Core& core;
  Connection* connection;
};

// The caller's own ids where it sends any.
void name_it(HttpRequest& request, ReplyTo& to, const SipKey& key, std::uint64_t n) {
  if (const std::string_view id = request.header("x-request-id"); is_request_id(id)) to.request_id = id;
  const TraceContext trace = trace_of(request.header("traceparent"), key, n);
  to.traceparent = traceparent(trace);
  request.request_id = to.request_id;
  request.trace_id = trace.trace_id;
}

template <typename Core>
asio::awaitable<void> serve(Core& core, ConnectionPtr c) {
  if (core.stopping) co_return;
  const Registration<Core> registration(core, c.get());
  const ServerOptions& options = core.options;
  for (bool first = true;; first = false) {
    RequestParser parser;
    const error_code ec = co_await read_request(c, options, parser, first);
    ReplyTo to;
    to.request_id = format("req-{:x}", ++core.n_requests);
    if (ec) {
      HttpResponse refusal = refusal_of(ec, options);
      if (refusal.status == 0) break;
      to.keep_alive = false;
      const bool ok = co_await write_whole(c, options.write_timeout, std::move(refusal), to);
      if (ok) co_await linger(c);
      break;
    }
    to.version = parser.get().version();
    to.keep_alive = parser.get().keep_alive() && !core.stopping;
    to.head_only = parser.get().method() == http::verb::head;
    HttpRequest request = to_request(parser);
    name_it(request, to, options.trace_key, core.n_requests);
    Wake wake = [waker = c->waker] { waker->wake(); };
    HttpResponse response = core.handler(request, std::move(wake));
    bool ok = false;
    if (response.stream) {
      to.keep_alive = to.keep_alive && to.version >= 11;
      ok = co_await write_stream(c, options.write_timeout, std::move(response), to);
    } else {
      ok = co_await write_whole(c, options.write_timeout, std::move(response), to);
    }
    c->busy = false;
    if (!ok || !to.keep_alive || core.stopping) break;
  }
  error_code ignored;
  c->stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
}

// One connection too many: says so, as far as the socket takes it at once.
void refuse_connection(tcp::socket socket, int connections_max) {
  const HttpResponse refusal = error_response(
      503, format("all {} connections are in use; try again in a second", connections_max), {},
      "too_many_connections");
  const std::string text = format(
      "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
      "connection: close\r\ncontent-length: {}\r\n\r\n{}",
      refusal.body.size(), refusal.body);
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(text), ignored);
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

template <typename Core>
asio::awaitable<void> accept_connections(Core& core) {
  while (!core.stopping) {
    auto [ec, socket] = co_await core.acceptor.async_accept(kTuple);
    if (core.stopping) break;
    if (ec) {
      asio::steady_timer pause(*core.io);
      pause.expires_after(to_duration(kAcceptPause));
      auto [ignored] = co_await pause.async_wait(kTuple);
      static_cast<void>(ignored);
      continue;
    }
    if (core.connections.size() >= static_cast<std::size_t>(core.options.connections_max)) {
      refuse_connection(std::move(socket), core.options.connections_max);
      continue;
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto connection = std::make_shared<Connection>(std::move(socket), core.io);
    asio::co_spawn(*core.io, serve(core, std::move(connection)), asio::detached);
  }
}

}  // namespace

void HttpServer::Core::listen() {
  error_code ec;
  if (options.listen_fd >= 0) {
    const auto protocol = is_ip6(options.listen_fd) ? tcp::v6() : tcp::v4();
    acceptor.assign(protocol, options.listen_fd, ec);
    if (!ec) port = acceptor.local_endpoint(ec).port();
    if (ec) throw_invalid(format("descriptor {}: cannot listen on it ({})", options.listen_fd, ec.message()));
    return;
  }
  const std::string where = format("{}:{}", options.address, options.port);
  const auto address =
      asio::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, ec);
  if (ec)
    throw_invalid(
        format("{}: not an IP address; use 127.0.0.1, 0.0.0.0 or another address of this computer",
               options.address));
  const tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec == asio::error::address_in_use) {
    throw Error(
        Error::Code::Busy,
        format("{}: the port is used by another program; stop that one or choose another port",
               where));
  }
  if (ec)
    throw_invalid(format("{}: cannot listen there ({}); choose another address or port", where,
                         ec.message()));
  port = acceptor.local_endpoint().port();
}

void HttpServer::Core::cut_off(Connection& c) {
  c.waker->gone = true;
  c.waker->signal();
  c.stream.close();
}

void HttpServer::Core::remove(Connection* c) {
  connections.erase(c);
  if (stopping && connections.empty()) deadline.cancel();
}

void HttpServer::Core::begin_stop() {
  stopping = true;
  error_code ignored;
  acceptor.close(ignored);
  for (Connection* c : connections) {
    if (!c->busy) c->stream.close();
  }
  if (connections.empty()) return;
  deadline.expires_after(to_duration(options.drain));
  deadline.async_wait([this](const error_code& ec) {
    if (ec) return;  // all have ended
    for (Connection* c : connections) cut_off(*c);
  });
}

HttpServer::HttpServer(ServerOptions options, HttpHandler handler)
    : core_(std::make_unique<Core>(std::move(options), std::move(handler))) {
  allow_open_files(core_->options.connections_max);
  core_->listen();
  asio::co_spawn(*core_->io, accept_connections(*core_), asio::detached);
  core_->thread = std::thread([core = core_.get()] { core->io->run(); });
}

HttpServer::~HttpServer() { stop(); }

std::uint16_t HttpServer::port() const { return core_->port; }

void HttpServer::stop() {
  if (!core_->thread.joinable()) return;
  asio::post(*core_->io, [core = core_.get()] { core->begin_stop(); });
  core_->thread.join();
}

}  // namespace tinderbox

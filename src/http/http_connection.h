// The bytes of one connection: reading a request, writing a reply or a stream of pieces, noticing
// that the client has gone. Part of http_server.cc, the one translation unit with Boost.Beast, and
// included by nothing else.
//
// GCC 12 rules for coroutines: free functions with parameters by value or references that outlive
// the frame, and no capturing lambda or initialiser list inside a co_await expression.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "http/http_server.h"

namespace tinderbox::http_io {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);  // errors as values
inline constexpr Seconds kLinger{2.0};  // for a client to read an error while it is still sending
inline constexpr std::size_t kLingerBytes = 64u << 20;

// Wakes one connection's coroutine from any thread. The io_context may be gone by then: the box
// thread can hold a TokenStream longer than the server lives.
struct Waker : std::enable_shared_from_this<Waker> {
  explicit Waker(std::weak_ptr<asio::io_context> context) : io(std::move(context)) {}

  void wake() {  // any thread
    if (posted.exchange(true)) return;
    const auto context = io.lock();
    if (!context) return;
    asio::post(*context, [self = shared_from_this()] {
      self->posted = false;
      self->signal();
    });
  }
  void signal() {  // I/O thread
    signalled = true;
    if (timer) timer->cancel();
  }

  std::weak_ptr<asio::io_context> io;
  std::atomic<bool> posted{false};
  // I/O thread only.
  asio::steady_timer* timer =
      nullptr;  // what the coroutine waits on; null once the connection is over
  bool signalled = false;
  bool gone = false;  // the client has closed, or the server gives up on it
};

struct Connection {
  Connection(tcp::socket socket, const std::shared_ptr<asio::io_context>& io)
      : stream(std::move(socket)), timer(*io), waker(std::make_shared<Waker>(io)) {
    waker->timer = &timer;
  }
  ~Connection() { waker->timer = nullptr; }

  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  asio::steady_timer timer;
  std::shared_ptr<Waker> waker;
  bool busy = false;  // a request is being answered
};
using ConnectionPtr = std::shared_ptr<Connection>;

// What a reply needs to know of its request.
struct ReplyTo {
  unsigned version = 11;
  bool keep_alive = true;
  bool head_only = false;
  std::string request_id, traceparent = {};  // empty: no such header
};

using Response = http::response<http::string_body>;
using RequestParser = http::request_parser<http::string_body>;

template <typename Body>
void set_head(http::response<Body>& out, const HttpResponse& response, const ReplyTo& to) {
  out.version(to.version);
  out.result(static_cast<unsigned>(response.status));
  if (!response.content_type.empty()) out.set(http::field::content_type, response.content_type);
  for (const HttpHeader& h : response.headers) out.set(h.name, h.value);
  out.set("x-request-id", to.request_id);
  if (!to.traceparent.empty()) out.set("traceparent", to.traceparent);
  out.keep_alive(to.keep_alive);
}

inline HttpRequest to_request(RequestParser& parser) {
  auto& message = parser.get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string_view target(message.target().data(), message.target().size());
  const std::size_t question = target.find('?');
  request.path = percent_decode(target.substr(0, question));
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    request.headers.push_back(
        {lower(std::string(field.name_string())), std::string(field.value())});
  }
  request.body = std::move(message.body());
  return request;
}

// A reply to what could not be read; status 0: nothing can be said (closed, timed out).
inline HttpResponse refusal_of(const error_code& ec, const ServerOptions& options) {
  if (ec == http::error::body_limit) {
    return error_response(
        413,
        format("the body is larger than the limit of {} bytes; send less", options.body_bytes_max),
        {}, "body_too_large");
  }
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return error_response(
        431,
        format("the header is larger than the limit of {} bytes; send fewer or shorter fields",
               options.header_bytes_max),
        {}, "header_too_large");
  }
  const bool silent = ec == http::error::end_of_stream || ec == http::error::partial_message ||
                      ec.category() != make_error_code(http::error::bad_method).category();
  if (silent) {
    HttpResponse nothing;
    nothing.status = 0;
    return nothing;
  }
  return error_response(
      400, format("this is not HTTP/1.1: {}; send a well-formed request", ec.message()), {},
      "bad_http");
}

inline asio::awaitable<bool> write_whole(ConnectionPtr c, Seconds timeout, HttpResponse response,
                                         ReplyTo to) {
  Response out;
  set_head(out, response, to);
  const bool bodyless = response.status == 204 || response.status == 304;
  const std::size_t n_body = response.body.size();
  if (!to.head_only && !bodyless) out.body() = std::move(response.body);
  if (!bodyless) out.content_length(n_body);
  c->stream.expires_after(to_duration(timeout));
  http::response_serializer<http::string_body> serializer(out);
  // A HEAD reply announces the length of a body that is not sent.
  if (to.head_only) {
    auto [ec, n] = co_await http::async_write_header(c->stream, serializer, kTuple);
    co_return !ec;
  }
  auto [ec, n] = co_await http::async_write(c->stream, serializer, kTuple);
  co_return !ec;
}

// Says that the client has gone as soon as its end of the connection closes. Ends when the wait is
// cancelled, or when there is something to read (a pipelined request), after which only a failed
// write can tell.
inline asio::awaitable<void> watch_peer(ConnectionPtr c) {
  auto [ec] = co_await c->stream.socket().async_wait(tcp::socket::wait_read, kTuple);
  if (ec == asio::error::operation_aborted) co_return;
  char byte = 0;
  error_code peeked;
  c->stream.socket().non_blocking(true, peeked);
  const std::size_t n =
      c->stream.socket().receive(asio::buffer(&byte, 1), tcp::socket::message_peek, peeked);
  if (n > 0 || peeked == asio::error::would_block) co_return;
  c->waker->gone = true;
  c->waker->signal();
}

inline asio::awaitable<void> wait_for_wake(ConnectionPtr c) {
  while (!c->waker->signalled) {
    c->timer.expires_at(asio::steady_timer::time_point::max());
    auto [ec] = co_await c->timer.async_wait(kTuple);
    static_cast<void>(ec);  // cancelled: that is the wake
  }
  c->waker->signalled = false;
}

// The head of a streamed reply. HTTP/1.0 knows no chunks: the end of the connection ends the body.
inline asio::awaitable<bool> write_stream_head(ConnectionPtr c, Seconds timeout,
                                               const HttpResponse& response, ReplyTo to) {
  http::response<http::empty_body> out;
  set_head(out, response, to);
  if (to.version >= 11) out.chunked(true);
  http::response_serializer<http::empty_body> serializer(out);
  c->stream.expires_after(to_duration(timeout));
  auto [ec, n] = co_await http::async_write_header(c->stream, serializer, kTuple);
  co_return !ec;
}

inline asio::awaitable<bool> write_piece(ConnectionPtr c, Seconds timeout, std::string piece,
                                         bool chunked) {
  c->stream.expires_after(to_duration(timeout));
  const asio::const_buffer bytes = asio::buffer(std::as_const(piece));
  if (!chunked) {
    auto [ec, n] = co_await asio::async_write(c->stream, bytes, kTuple);
    co_return !ec;
  }
  const auto chunk = http::make_chunk(bytes);
  auto [ec, n] = co_await asio::async_write(c->stream, chunk, kTuple);
  co_return !ec;
}

inline asio::awaitable<bool> write_last_chunk(ConnectionPtr c, Seconds timeout) {
  c->stream.expires_after(to_duration(timeout));
  const auto last = http::make_chunk_last();
  auto [ec, n] = co_await asio::async_write(c->stream, last, kTuple);
  co_return !ec;
}

// Polls the stream until it is finished. false: the connection is of no more use.
inline asio::awaitable<bool> write_stream(ConnectionPtr c, Seconds timeout, HttpResponse response,
                                          ReplyTo to) {
  using State = ResponseStream::State;
  asio::co_spawn(c->stream.get_executor(), watch_peer(c), asio::detached);
  const bool chunked = to.version >= 11;
  bool opened = false;
  for (;;) {
    const State state = response.stream->poll(response);
    if (c->waker->gone) co_return false;
    if (state == State::Finished && !opened) {
      error_code ignored;
      c->stream.socket().cancel(ignored);  // ends the watch
      co_return co_await write_whole(c, timeout, std::move(response), to);
    }
    if (state != State::Waiting && !opened) {
      opened = true;
      const bool ok = co_await write_stream_head(c, timeout, response, to);
      if (!ok) co_return false;
    }
    if (opened && !response.body.empty()) {
      std::string piece = std::exchange(response.body, {});
      const bool ok = co_await write_piece(c, timeout, std::move(piece), chunked);
      if (!ok) co_return false;
    }
    if (state == State::Finished) break;
    co_await wait_for_wake(c);
  }
  error_code ignored;
  c->stream.socket().cancel(ignored);
  if (!chunked) co_return false;
  co_return co_await write_last_chunk(c, timeout);
}

// Ends our side and reads what the client is still sending for a while, because closing on unread
// bytes would reset the connection under the reply.
inline asio::awaitable<void> linger(ConnectionPtr c) {
  error_code ignored;
  c->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  c->stream.expires_after(to_duration(kLinger));
  std::string sink(16 * 1024, '\0');
  for (std::size_t n_read = 0; n_read < kLingerBytes;) {
    auto [ec, n] = co_await c->stream.async_read_some(asio::buffer(sink), kTuple);
    if (ec) break;
    n_read += n;
  }
}

inline asio::awaitable<bool> write_continue(ConnectionPtr c, Seconds timeout) {
  c->stream.expires_after(to_duration(timeout));
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  auto [ec, n] = co_await asio::async_write(c->stream, asio::buffer(kContinue), kTuple);
  co_return !ec;
}

// Reads one request into the parser.
inline asio::awaitable<error_code> read_request(ConnectionPtr c, const ServerOptions& options,
                                                RequestParser& parser, bool first) {
  parser.header_limit(options.header_bytes_max);
  parser.body_limit(options.body_bytes_max);
  c->stream.expires_after(
      to_duration(first ? options.first_request_timeout : options.keep_alive_timeout));
  auto [ec, n] = co_await http::async_read_header(c->stream, c->buffer, parser, kTuple);
  if (ec) co_return ec;
  c->busy = true;
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    const bool ok = co_await write_continue(c, options.write_timeout);
    if (!ok) co_return make_error_code(http::error::end_of_stream);
  }
  c->stream.expires_after(to_duration(options.body_timeout));
  auto [ec2, n2] = co_await http::async_read(c->stream, c->buffer, parser, kTuple);
  co_return ec2;
}

}  // namespace tinderbox::http_io

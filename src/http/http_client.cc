#include "http/http_client.h"

#include <chrono>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::uint64_t kBodyMax = 64ull << 20;

[[noreturn]] void nothing_there(const Url& url, const beast::error_code& why) {
  throw Error(Error::Code::NotFound,
              format("http://{}:{}: {}; is `tinderbox serve` running there?", url.host, url.port, why.message()));
}

bool visible(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 127) return false;
  }
  return !text.empty();
}

}  // namespace

Url parse_url(std::string_view text) {
  const auto wrong = [&](const char* why) {
    throw_invalid(format("'{}': {}; write http://HOST:PORT, e.g. http://127.0.0.1:8080", to_valid_utf8(text), why));
  };
  std::string_view rest = text;
  if (rest.starts_with("https://")) wrong("TLS is not spoken here, put a tunnel in between");
  if (!rest.starts_with("http://")) wrong("this is no address of a server");
  rest.remove_prefix(7);
  Url url;
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    url.path = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  if (rest.find('@') != std::string_view::npos) wrong("a name or password in an address would be shown; use --key");
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) wrong("the bracket of the IPv6 address is not closed");
    url.host = rest.substr(1, end - 1);
    rest = rest.substr(end + 1);
  } else {
    const std::size_t colon = rest.find(':');
    url.host = rest.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
  }
  if (!rest.empty()) {
    const auto port = rest.front() == ':' ? parse_int(rest.substr(1)) : std::nullopt;
    if (!port || *port < 1 || *port > 65535) wrong("the port is a number from 1 to 65535");
    url.port = std::to_string(*port);
  }
  if (!visible(url.host) || !visible(url.path)) wrong("the host or path is empty or has characters that none may have");
  return url;
}

HttpReply http_get(const Url& url, const std::string& key, Seconds timeout) {
  asio::io_context io;
  beast::tcp_stream stream(io);
  beast::error_code error;
  // One operation after the other, each run until it is done; the deadline is that of all.
  const auto finish = [&] {
    io.restart();
    io.run();
    if (error) nothing_there(url, error);
  };
  stream.expires_after(std::chrono::nanoseconds(static_cast<std::int64_t>(timeout.value() * 1e9)));
  asio::ip::tcp::resolver resolver(io);
  const auto where = resolver.resolve(url.host, url.port, error);
  if (error) nothing_there(url, error);
  stream.async_connect(where, [&](beast::error_code e, const asio::ip::tcp::endpoint&) { error = e; });
  finish();
  http::request<http::empty_body> request(http::verb::get, url.path, 11);
  const bool v6 = url.host.find(':') != std::string::npos;
  request.set(http::field::host, (v6 ? "[" + url.host + "]" : url.host) + ":" + url.port);
  request.set(http::field::user_agent, "tinderbox");
  request.set(http::field::connection, "close");
  if (!key.empty() && !visible(key)) throw_invalid("the key has characters that no key has");
  if (!key.empty()) request.set(http::field::authorization, "Bearer " + key);
  http::async_write(stream, request, [&](beast::error_code e, std::size_t) { error = e; });
  finish();
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> reply;
  reply.body_limit(kBodyMax);
  http::async_read(stream, buffer, reply, [&](beast::error_code e, std::size_t) { error = e; });
  finish();
  return {.status = static_cast<int>(reply.get().result_int()), .body = std::move(reply.get().body())};
}

}  // namespace tinderbox

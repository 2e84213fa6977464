// Over real loopback sockets, on a port that the system chooses.
#include "http/http_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "http/echo_box_test.h"

namespace tinderbox {
namespace {

using nlohmann::json;

// A blocking client that reads and writes bytes.
class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const timeval patience{.tv_sec = 60, .tv_usec = 0};  // a hang fails instead
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;  // the server has closed; what it said is read next
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void end() { ::shutdown(fd_, SHUT_WR); }
  // Reads until `text` has been seen, or the end of the connection; returns all that came so far
  // and keeps it.
  const std::string& read_until(std::string_view text) {
    char buffer[4096];
    while (got_.find(text) == std::string::npos) {
      const ssize_t n = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      got_.append(buffer, static_cast<std::size_t>(n));
    }
    return got_;
  }
  std::string read_all() { return read_until(std::string_view("\0never", 6)); }
  // One reply with a content-length; what follows it stays for the next.
  std::string read_reply() {
    read_until("\r\n\r\n");
    const std::size_t head = got_.find("\r\n\r\n") + 4;
    const std::size_t at = got_.find("Content-Length: ");
    if (at == std::string::npos || at > head) return got_;
    const auto n =
        static_cast<std::size_t>(*parse_int(got_.substr(at + 16, got_.find("\r\n", at) - at - 16)));
    char buffer[4096];
    while (got_.size() < head + n) {
      const ssize_t m = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (m <= 0) break;
      got_.append(buffer, static_cast<std::size_t>(m));
    }
    std::string reply = got_.substr(0, head + n);
    got_.erase(0, head + n);
    return reply;
  }

 private:
  int fd_;
  std::string got_;
};

ServerOptions test_options() {
  ServerOptions o;
  o.port = 0;
  o.drain = Seconds(30.0);
  return o;
}

std::string get(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n";
}

std::string post(const std::string& path, const std::string& body, const std::string& more = "") {
  return "POST " + path +
         " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + more + "\r\n" + body;
}

std::string chat(const std::string& text, const std::string& more = "") {
  return R"({"model":"echo","messages":[{"role":"user","content":")" + text + "\"}]" + more + "}";
}

std::string body_of(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }

// The payload of a chunked body.
std::string unchunked(std::string body) {
  std::string out;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find("\r\n", at);
    const std::size_t n = std::stoul(body.substr(at, end - at), nullptr, 16);
    out += body.substr(end + 2, n);
    at = end + 2 + n + 2;
    if (n == 0) break;
  }
  return out;
}

TEST(HttpServer, ServesManyRequestsOnOneConnection) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  Client client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send(get("/health"));
    const std::string reply = client.read_reply();
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 OK\r\n")) << reply;
    EXPECT_NE(reply.find("x-request-id: req-"), std::string::npos) << reply;
    EXPECT_EQ(body_of(reply), R"({"status":"ok"})");
  }
  client.send(post("/v1/chat/completions", chat("hello")));
  EXPECT_EQ(
      json::parse(body_of(client.read_reply())).at("choices").at(0).at("message").at("content"),
      "hello");
  client.send(get("/health") + get("/version"));  // pipelined
  EXPECT_EQ(body_of(client.read_reply()), R"({"status":"ok"})");
  EXPECT_EQ(body_of(client.read_reply()), R"({"version":"0.0.1"})");
  client.send(get("/v1/models?x=%20", "Connection: close\r\n"));
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, StreamsInChunks) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  Client client(server.port());
  box.executor().hold();
  client.send(post("/v1/chat/completions", chat("hello", R"(,"stream":true)")));
  box.executor().permit(1);
  client.read_until("\"content\":\"h\"");  // comes while the answer is being made
  box.executor().let_go();
  const std::string reply = client.read_until("\r\n0\r\n\r\n");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 OK\r\n")) << reply;
  EXPECT_NE(reply.find("Content-Type: text/event-stream\r\n"), std::string::npos) << reply;
  EXPECT_NE(reply.find("Transfer-Encoding: chunked\r\n"), std::string::npos) << reply;
  const std::string events = unchunked(body_of(reply));
  EXPECT_TRUE(events.ends_with("data: [DONE]\n\n")) << events;
  client.send(get("/health", "Connection: close\r\n"));  // the connection is kept after a stream
  EXPECT_TRUE(client.read_all().ends_with(R"({"status":"ok"})"));
}

TEST(HttpServer, StreamsToHttp10UntilTheEndOfTheConnection) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  Client client(server.port());
  const std::string body = chat("hello", R"(,"stream":true)");
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::string reply = client.read_all();
  EXPECT_EQ(reply.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(reply.ends_with("data: [DONE]\n\n")) << reply;
}

TEST(HttpServer, HeadAnnouncesTheLengthOnly) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  Client client(server.port());
  client.send("HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string reply = client.read_all();
  EXPECT_NE(reply.find("Content-Length: 15\r\n"), std::string::npos) << reply;
  EXPECT_TRUE(reply.ends_with("\r\n\r\n")) << reply;
}

TEST(HttpServer, NotModifiedHasNoBody) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  Client client(server.port());
  client.send(get("/app.js"));
  const std::string first = client.read_reply();
  const std::size_t at = first.find("etag: ");
  ASSERT_NE(at, std::string::npos) << first;
  const std::string etag = first.substr(at + 6, 18);
  client.send(get("/app.js", "If-None-Match: " + etag + "\r\nConnection: close\r\n"));
  const std::string second = client.read_all();
  EXPECT_TRUE(second.starts_with("HTTP/1.1 304")) << second;
  EXPECT_TRUE(second.ends_with("\r\n\r\n")) << second;
}

TEST(HttpServer, RefusesWhatIsNotHttpOrTooLarge) {
  EchoBox box;
  ServerOptions options = test_options();
  options.body_bytes_max = 1000;
  HttpServer server(options, box.handler());
  const std::string big(200000, 'x');
  const std::pair<std::string, std::string> cases[] = {
      {"\x16\x03\x01\x02TLS hello\r\n\r\n", "400"},
      {"GET\r\n\r\n", "400"},
      {"GET / HTTP/9.9\r\n\r\n", "400"},
      {"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "400"},
      {"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"GET / HTTP/1.1\r\nX: " + big + "\r\n\r\n", "431"},
      {"GET /" + big + " HTTP/1.1\r\n\r\n", "431"},
      {post("/v1/completions", big), "413"},
      {"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\n", "413"},
      {"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" +
           std::string(2048, 'x') + "\r\n",
       "413"},
  };
  for (const auto& [bytes, status] : cases) {
    Client client(server.port());
    client.send(bytes);
    const std::string reply = client.read_all();
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + status))
        << bytes.substr(0, 60) << " -> " << reply.substr(0, 200);
    EXPECT_NE(reply.find("Connection: close"), std::string::npos) << reply;
    ASSERT_NE(reply.find("\r\n\r\n"), std::string::npos);
    EXPECT_FALSE(json::parse(body_of(reply)).at("error").at("message").get<std::string>().empty());
  }
  Client client(server.port());
  client.send(get("/health"));
  EXPECT_TRUE(client.read_reply().starts_with("HTTP/1.1 200"));
}

TEST(HttpServer, TruncatedRequestsEndQuietly) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  for (const char* part : {"", "G", "GET / HTTP/1.1\r\nHos",
                           "POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"}) {
    Client client(server.port());
    client.send(part);
    client.end();
    EXPECT_EQ(client.read_all(), "") << part;
  }
}

TEST(HttpServer, ContinueIsSentBeforeALargeBody) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  Client client(server.port());
  const std::string body = chat("hello");
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nExpect: 100-continue\r\nConnection: "
      "close\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(body);
  EXPECT_NE(client.read_all().find("HTTP/1.1 200 OK"), std::string::npos);
}

TEST(HttpServer, SilentConnectionsDoNotBlockOthers) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(std::make_unique<Client>(server.port()));
  for (std::size_t i = 0; i < silent.size(); i += 2) silent[i]->send("POST /v1/compl");
  Client client(server.port());
  client.send(post("/v1/chat/completions", chat("hello")));
  EXPECT_TRUE(client.read_reply().starts_with("HTTP/1.1 200"));
}

TEST(HttpServer, SilentConnectionsAreClosedInTheEnd) {
  EchoBox box;
  ServerOptions options = test_options();
  options.first_request_timeout = Seconds(0.05);
  HttpServer server(options, box.handler());
  Client client(server.port());
  client.send("GET / HT");
  EXPECT_EQ(client.read_all(), "");
}

TEST(HttpServer, OneConnectionTooManyIsTold) {
  EchoBox box;
  ServerOptions options = test_options();
  options.connections_max = 2;
  HttpServer server(options, box.handler());
  Client a(server.port()), b(server.port());
  for (Client* c : {&a, &b}) {
    c->send(get("/health"));
    EXPECT_TRUE(c->read_reply().starts_with("HTTP/1.1 200"));
  }
  Client c(server.port());
  EXPECT_TRUE(c.read_all().starts_with("HTTP/1.1 503 Service Unavailable"));
}

TEST(HttpServer, AClientThatVanishesFreesItsKv) {
  EchoBox box;
  box.executor().hold();
  HttpServer server(test_options(), box.handler());
  const std::string body = R"({"model":"echo","prompt":"endless","max_tokens":10000)";
  Client streamed(server.port()), whole(server.port()), other(server.port());
  streamed.send(post("/v1/completions", body + R"(,"stream":true})"));
  box.executor().permit(2);
  EXPECT_NE(streamed.read_until("\"text\":\"a\"").find("200 OK"), std::string::npos);
  whole.send(post("/v1/completions", body + "}"));
  streamed.close();
  whole.close();
  std::string text;
  for (int i = 0; i < 8000;
       ++i) {  // each turn lets the server see what has happened and the box run one step
    other.send(get("/metrics"));
    text = body_of(other.read_reply());
    if (n_finished(text, "abort") == 2) break;
    box.executor().permit(1);
  }
  EXPECT_EQ(n_finished(text, "abort"), 2);
  EXPECT_EQ(metric(text, "vllm:num_requests_running{"), 0);
  EXPECT_EQ(metric(text, "vllm:kv_cache_usage_perc{"), 0);
  server.stop();
  box.close();
  EXPECT_EQ(box.scheduler().kv().n_free(), box.scheduler().kv().n_blocks());
}

TEST(HttpServer, StopLetsAnAnswerFinish) {
  EchoBox box;
  box.executor().hold();
  HttpServer server(test_options(), box.handler());
  Client idle(server.port()), busy(server.port());
  idle.send(get("/health"));
  idle.read_reply();
  busy.send(post("/v1/chat/completions", chat("hello", R"(,"stream":true)")));
  box.executor().permit(1);
  busy.read_until("\"content\":\"h\"");
  std::thread stopping([&] { server.stop(); });
  EXPECT_EQ(idle.read_all(), "") << "idle connections end at once";
  box.executor().let_go();
  EXPECT_NE(busy.read_all().find("data: [DONE]"), std::string::npos);
  stopping.join();
}

TEST(HttpServer, StopCutsOffWhatDoesNotFinish) {
  EchoBox box;
  box.executor().hold();
  ServerOptions options = test_options();
  options.drain = Seconds(0.05);
  HttpServer server(options, box.handler());
  Client busy(server.port()), deferred(server.port());
  busy.send(post("/v1/chat/completions", chat("endless", R"(,"stream":true)")));
  deferred.send(post("/v1/chat/completions", chat("endless")));
  box.executor().permit(1);
  busy.read_until("\"content\":\"a\"");
  server.stop();
  EXPECT_EQ(busy.read_all().find("[DONE]"), std::string::npos);
  EXPECT_EQ(deferred.read_all(), "");
}

TEST(HttpServer, ListensOnASocketThatItIsHanded) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  ASSERT_EQ(::listen(fd, 8), 0);
  socklen_t length = sizeof(at);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length), 0);
  EchoBox box;
  ServerOptions options = test_options();
  options.port = 1;  // not asked for
  options.listen_fd = fd;
  HttpServer server(options, box.handler());
  EXPECT_EQ(server.port(), ntohs(at.sin_port));
  Client client(server.port());
  client.send(get("/health"));
  EXPECT_NE(client.read_reply().find("200"), std::string::npos);
  server.stop();
  options.listen_fd = fd;  // closed with the server
  EXPECT_THROW(HttpServer(options, box.handler()), Error);
}

TEST(HttpServer, ABusyPortSaysSo) {
  EchoBox box;
  HttpServer server(test_options(), box.handler());
  ServerOptions same = test_options();
  same.port = server.port();
  try {
    HttpServer second(same, box.handler());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::Busy);
    EXPECT_NE(std::string(e.what()).find(std::to_string(same.port)), std::string::npos) << e.what();
  }
  same.address = "not-an-address";
  EXPECT_THROW(HttpServer(same, box.handler()), Error);
  same.address = "203.0.113.1";  // of no interface here (RFC 5737)
  EXPECT_THROW(HttpServer(same, box.handler()), Error);
}

}  // namespace
}  // namespace tinderbox

// Arbitrary bytes on a connection of the real server, in pieces: what comes back is well-formed
// replies or nothing, and the server answers the next one. The first byte of the input says how it
// is cut.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/http_server.h"

namespace tinderbox {
namespace {

// Says how long the body was; on /stream in pieces.
class Counted final : public ResponseStream {
 public:
  explicit Counted(std::size_t n) : n_(n) {}
  State poll(HttpResponse& response) override {
    response.content_type = "text/event-stream";
    response.body += "data: " + std::to_string(n_) + "\n\n";
    return State::Finished;
  }

 private:
  std::size_t n_;
};

HttpResponse answer(const HttpRequest& request, const Wake&) {
  for (const HttpHeader& h : request.headers)
    CHECK(h.value.find_first_of("\r\n") == std::string::npos);
  CHECK(!request.request_id.empty() && request.trace_id.size() == 32);
  HttpResponse response;
  if (request.path == "/stream") {
    response.stream = std::make_unique<Counted>(request.body.size());
  } else {
    response.body = std::to_string(request.body.size());
  }
  return response;
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
  const timeval patience{.tv_sec = 5, .tv_usec = 0};  // a hang is found
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

std::string read_all(int fd) {
  std::string got;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) continue;  // the fuzzer's timer
    CHECK(n >= 0 || errno != EAGAIN);  // neither an answer nor an end
    if (n <= 0) return got;
    got.append(buffer, static_cast<std::size_t>(n));
  }
}

// Heads with their bodies, one after the other.
void check_replies(std::string_view got) {
  while (!got.empty()) {
    CHECK(got.starts_with("HTTP/1."));
    const std::size_t end = got.find("\r\n\r\n");
    CHECK(end != std::string_view::npos);
    const std::string head(got.substr(0, end));
    const int status = std::atoi(head.c_str() + 9);
    CHECK((status >= 100 && status < 600));
    got.remove_prefix(end + 4);
    if (status == 100) continue;
    const std::size_t at = head.find("ontent-Length: ");
    const std::size_t lower = head.find("ontent-length: ");
    const std::size_t length = std::min(at, lower);
    if (length == std::string::npos) return;  // chunked, or to the end of the connection
    const auto n = static_cast<std::size_t>(std::atoll(head.c_str() + length + 15));
    if (got.size() < n)
      return;  // of HEAD, which is cut off here; or what comes next is no reply to look at
    got.remove_prefix(n);
  }
}

void one(std::string_view input) {
  static HttpServer server({.port = 0,
                            .header_bytes_max = 4096,
                            .body_bytes_max = 4096,
                            .first_request_timeout = Seconds(1.0),
                            .keep_alive_timeout = Seconds(1.0),
                            .body_timeout = Seconds(1.0)},
                           answer);
  if (input.empty()) return;
  const std::size_t piece = 1 + static_cast<unsigned char>(input[0]);
  input.remove_prefix(1);
  const int fd = connect_to(server.port());
  for (std::size_t at = 0; at < input.size(); at += piece) {
    const std::string_view part = input.substr(at, piece);
    if (::send(fd, part.data(), part.size(), MSG_NOSIGNAL) < 0) break;  // refused already
  }
  ::shutdown(fd, SHUT_WR);
  const bool heads_only = input.find("HEAD ") != std::string_view::npos;
  const std::string got = read_all(fd);
  ::close(fd);
  if (!heads_only) check_replies(got);
  const int next = connect_to(server.port());
  constexpr std::string_view kGood =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
  CHECK(::send(next, kGood.data(), kGood.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(kGood.size()));
  const std::string reply = read_all(next);
  ::close(next);
  CHECK(reply.starts_with("HTTP/1.1 200") && reply.ends_with("\r\n\r\n2"));
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tinderbox::one({reinterpret_cast<const char*>(data), size});
  return 0;
}

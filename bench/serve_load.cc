// serve_load PORT MODE ...: load on a running server over raw sockets, as one JSON line. One thread and epoll, so that
// the client takes as little as it can of the computer that it shares with the server. MODE is one of
//   requests CONNECTIONS SECONDS [TOKENS]
//     plain requests, one after the other on each connection: chats of TOKENS tokens, or GET /health without
//   streams CONNECTIONS SECONDS TOKENS
//     streamed chats of TOKENS tokens; counts what the server's usage says
//   hold IDLE STREAMS SECONDS
//     IDLE connections at rest beside STREAMS open streams, for SECONDS
//   pace STREAMS TOKENS
//     STREAMS streams of TOKENS tokens, sent at once: how their tokens came
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "serve_load: %s\n", what.c_str());
  std::exit(1);
}

enum class Kind { Plain, Stream };

struct Client {
  int fd = -1;
  Kind kind = Kind::Plain;
  std::string got;   // Plain: the reply so far; Stream: its last bytes
  std::string head;  // the first bytes of the reply
  bool chunked = false;
  double sent = 0;         // when the request was
  bool waits = false;      // for a reply
  std::vector<double> at;  // Stream, of pace: when its tokens came
};

class Load {
 public:
  explicit Load(int port) : port_(port), epoll_(epoll_create1(0)) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }

  Client& add(Kind kind) {
    auto client = std::make_unique<Client>();
    client->kind = kind;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (client->fd < 0 || connect(client->fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
      die(std::string("cannot connect: ") + std::strerror(errno));
    }
    const int one = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = client.get();
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client->fd, &event);
    clients_.push_back(std::move(client));
    return *clients_.back();
  }

  void send(Client& client, const std::string& request) {
    client.got.clear();
    client.head.clear();
    client.sent = now_s();
    client.waits = true;
    if (write(client.fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
      die("a request could not be written whole");
    }
  }

  // Reads what comes until `until`, or until on_reply says that it is enough.
  void run(double until, const std::function<bool(Client&)>& on_reply,
           const std::function<void(Client&)>& on_data = {}) {
    std::array<epoll_event, 256> events;
    for (double left = until - now_s(); left > 0; left = until - now_s()) {
      const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                               static_cast<int>(std::min(left, 1.0) * 1000) + 1);
      for (int i = 0; i < n; ++i) {
        Client& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (!read_some(client)) continue;
        if (on_data) on_data(client);
        if (!whole(client)) continue;
        client.waits = false;
        if (!on_reply(client)) return;
      }
    }
  }

  std::int64_t n_tokens() const { return n_tokens_; }
  std::int64_t n_bytes() const { return n_bytes_; }
  const std::vector<std::unique_ptr<Client>>& clients() const { return clients_; }

 private:
  bool read_some(Client& client) {
    const ssize_t n = read(client.fd, buffer_.data(), buffer_.size());
    if (n == 0)
      die("the server closed a connection after: " + client.head + client.got.substr(0, 300));
    if (n < 0) return false;
    n_bytes_ += n;
    const std::string_view came(buffer_.data(), static_cast<std::size_t>(n));
    if (client.head.empty())
      client.chunked = came.substr(0, 512).find("chunked") != std::string_view::npos;
    if (client.head.size() < 15) client.head += came.substr(0, 15 - client.head.size());
    if (client.head.size() >= 12 && client.head.compare(9, 3, "200") != 0)
      die("refused: " + std::string(came));
    client.got += came;
    // Of a stream only its end is of interest, with the usage before it.
    constexpr std::size_t kEnd = 1024;
    if (client.kind == Kind::Stream && client.got.size() > 2 * kEnd)
      client.got.erase(0, client.got.size() - kEnd);
    return true;
  }

  bool whole(Client& client) {
    const std::string& got = client.got;
    if (client.kind == Kind::Stream) {
      // A stream that was over at once comes with its length.
      if (!got.ends_with(client.chunked ? "data: [DONE]\n\n\r\n0\r\n\r\n" : "data: [DONE]\n\n"))
        return false;
      const std::size_t at = got.rfind("\"completion_tokens\":");
      if (at != std::string::npos) n_tokens_ += std::atoll(got.c_str() + at + 20);
      return true;
    }
    const std::size_t end = got.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::size_t at = got.find("ontent-");  // Content-Length, however it is written
    while (at != std::string::npos && strncasecmp(got.c_str() + at, "ontent-length:", 14) != 0)
      at = got.find("ontent-", at + 1);
    if (at == std::string::npos || at > end) die("a reply without its length: " + got);
    return got.size() >= end + 4 + static_cast<std::size_t>(std::atoll(got.c_str() + at + 14));
  }

  int port_;
  int epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<char> buffer_ = std::vector<char>(1 << 18);
  std::int64_t n_tokens_ = 0, n_bytes_ = 0;
};

const std::string kHealth = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

// $MODEL is asked, in $WORDS words (1).
std::string chat(int n_tokens, bool streamed) {
  const char* model = std::getenv("MODEL");
  const char* words = std::getenv("WORDS");
  std::string question = "Hello";
  for (int i = words != nullptr ? std::atoi(words) : 1; i > 1; --i) question += " hello";
  std::string body = R"({"model":")" + std::string(model != nullptr ? model : "") +
                     R"(","messages":[{"role":"user","content":")" + question +
                     R"("}],"max_tokens":)" + std::to_string(n_tokens);
  body += streamed ? R"(,"stream":true,"stream_options":{"include_usage":true}})" : "}";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

double percentile(std::vector<double>& values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}

// The same request again and again on each of n connections.
void again_and_again(Load& load, Kind kind, int n, double seconds, const std::string& request) {
  std::vector<double> times;
  std::int64_t n_replies = 0;
  for (int i = 0; i < n; ++i) load.send(load.add(kind), request);
  const double start = now_s();
  load.run(start + seconds, [&](Client& client) {
    ++n_replies;
    times.push_back(now_s() - client.sent);
    load.send(client, request);
    return true;
  });
  const double s = now_s() - start;
  std::printf(
      R"({"connections":%d,"seconds":%.3f,"replies":%lld,"replies_per_s":%.1f,"p50_s":%.6f,"p99_s":%.6f,)"
      R"("tokens_per_s":%.1f,"bytes_per_s":%.0f})"
      "\n",
      n, s, static_cast<long long>(n_replies), static_cast<double>(n_replies) / s,
      percentile(times, 0.5), percentile(times, 0.99), static_cast<double>(load.n_tokens()) / s,
      static_cast<double>(load.n_bytes()) / s);
}

void hold(Load& load, int n_idle, int n_streams, double seconds) {
  std::int64_t n_idle_answered = 0, n_open = 0;
  for (int i = 0; i < n_idle; ++i) {
    load.send(load.add(Kind::Plain), kHealth);
    if (i % 64 == 63) {
      load.run(now_s() + 30, [&](Client&) { return ++n_idle_answered < i + 1; });
    }
  }
  if (n_idle_answered < n_idle)
    load.run(now_s() + 30, [&](Client&) { return ++n_idle_answered < n_idle; });
  const std::string request = chat(1 << 12, true);
  for (int i = 0; i < n_streams; ++i) load.send(load.add(Kind::Stream), request);
  std::vector<const Client*> seen;
  const double start = now_s();
  load.run(
      start + seconds,
      [&](Client& client) {
        load.send(client, request);
        return true;
      },
      [&](Client& client) {
        if (client.head.size() == 15 && client.at.empty()) {
          client.at.push_back(now_s());
          ++n_open;
        }
      });
  std::printf(R"({"idle":%lld,"streams_open":%lld})"
              "\n",
              static_cast<long long>(n_idle_answered), static_cast<long long>(n_open));
}

void pace(Load& load, int n_streams, int n_tokens) {
  const std::string request = chat(n_tokens, true);
  for (int i = 0; i < n_streams; ++i) load.add(Kind::Stream);
  for (const auto& client : load.clients()) load.send(*client, request);
  int n_left = n_streams;
  load.run(
      now_s() + 3600, [&](Client&) { return --n_left > 0; },
      [](Client& client) { client.at.push_back(now_s()); });
  // The last piece holds the end; the head comes with the first one, or alone before it.
  std::vector<double> gaps, means, firsts;
  for (const auto& client : load.clients()) {
    const std::vector<double>& at = client->at;
    if (static_cast<int>(at.size()) < n_tokens / 2) die("too few pieces: they came together");
    for (std::size_t i = 2; i < at.size(); ++i) gaps.push_back(at[i] - at[i - 1]);
    firsts.push_back(at[0] - client->sent);
    means.push_back((at.back() - at[0]) / (n_tokens - 1));
  }
  double sum = 0;
  for (const double m : means) sum += m;
  std::printf(
      R"({"streams":%d,"mean_tpot_s":%.7f,"gap_p50_s":%.7f,"gap_p99_s":%.7f,"ttft_p50_s":%.6f})"
      "\n",
      n_streams, sum / n_streams, percentile(gaps, 0.5), percentile(gaps, 0.99),
      percentile(firsts, 0.5));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto number = [&](std::size_t i, double otherwise) {
    return i < args.size() ? std::atof(args[i].c_str()) : otherwise;
  };
  if (args.size() < 3)
    die("usage: serve_load PORT requests|streams|hold|pace ...; the head of its source says more");
  Load load(std::atoi(args[0].c_str()));
  const std::string& mode = args[1];
  const int n = static_cast<int>(number(2, 1));
  if (mode == "requests") {
    again_and_again(load, Kind::Plain, n, number(3, 5),
                    args.size() > 4 ? chat(static_cast<int>(number(4, 1)), false) : kHealth);
  } else if (mode == "streams") {
    again_and_again(load, Kind::Stream, n, number(3, 5),
                    chat(static_cast<int>(number(4, 256)), true));
  } else if (mode == "hold") {
    hold(load, n, static_cast<int>(number(3, 0)), number(4, 5));
  } else if (mode == "pace") {
    pace(load, n, static_cast<int>(number(3, 256)));
  } else {
    die("no mode " + mode);
  }
  return 0;
}

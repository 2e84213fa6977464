#include "cli/what_if.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/text.h"
#include "http/http.h"

namespace tinderbox::cli {
namespace {

constexpr int kAtOnce = 4;
constexpr Duration kLongest = std::chrono::seconds(30);
constexpr std::size_t kBytesMax = 8u << 20;

std::atomic<int> n_running{0};

struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};
  }
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) ::close(end);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_writing() { ::close(std::exchange(ends[1], -1)); }
};

// 0: it did not begin.
pid_t begin(std::vector<std::string> words, const Pipe& out, const Pipe& err) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err.ends[1], 2);
  // The server blocks signals in its threads; what it starts must heed them.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  if (::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv.data(), environ) != 0) pid = 0;
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return pid;
}

// Until both are closed. false: it took too long, or said too much.
bool read_both(const Pipe& out, const Pipe& err, std::string& said, std::string& complained) {
  const WallClock clock;
  const TimePoint until = clock.now() + kLongest;
  std::array<pollfd, 2> waits{{{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}}};
  std::array<char, 16384> buffer{};
  while (waits[0].fd >= 0 || waits[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - clock.now());
    if (left.count() <= 0 || said.size() > kBytesMax) return false;
    if (::poll(waits.data(), waits.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) return false;
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].fd < 0 || waits[i].revents == 0) continue;
      const ssize_t n = ::read(waits[i].fd, buffer.data(), buffer.size());
      if (n <= 0) {
        waits[i].fd = -1;
      } else {
        (i == 0 ? said : complained).append(buffer.data(), static_cast<std::size_t>(n));
      }
    }
  }
  return true;
}

Reply refusal(int status, std::string_view message, std::string_view code) {
  return {.status = status, .body = error_response(status, message, {}, code).body};
}

// "tinderbox: no model 'x'; did you mean ..." without the program's name.
std::string complaint(std::string text) {
  constexpr std::string_view kName = "tinderbox: ";
  if (text.starts_with(kName)) text.erase(0, kName.size());
  while (text.ends_with('\n')) text.pop_back();
  return text.empty() ? std::string("the question could not be answered") : text;
}

Reply answer(const std::string& verb, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"tinderbox", verb};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.emplace_back("--json");
  Pipe out, err;
  if (out.ends[0] < 0 || err.ends[0] < 0) return refusal(503, "no file descriptor is left; ask again", "busy");
  const pid_t pid = begin(std::move(words), out, err);
  if (pid == 0) return refusal(503, "no process can be started; ask again", "busy");
  out.close_writing();
  err.close_writing();
  std::string said, complained;
  const bool in_time = read_both(out, err, said, complained);
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) return refusal(504, "the answer takes too long; ask for less", "timeout");
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 3;
  if (code == 0 || code == 1) return {.body = std::move(said)};  // 1: the answer is no, which it says
  return refusal(code == 2 ? 400 : 500, complaint(std::move(complained)), code == 2 ? "invalid_value" : "internal");
}

}  // namespace

void ask_verb(const std::string& verb, const std::vector<std::string>& arguments, const Deferred::Give& give) {
  if (n_running.fetch_add(1) >= kAtOnce) {
    --n_running;
    return give(refusal(429, "too many questions at once; ask again", "rate_limit"));
  }
  std::thread([verb, arguments, give] {
    Reply reply = answer(verb, arguments);
    --n_running;
    give(std::move(reply));
  }).detach();
}

}  // namespace tinderbox::cli

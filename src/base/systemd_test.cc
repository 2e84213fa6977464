// With real sockets: what a service manager would receive, and hand over.
#include "base/systemd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/gzip.h"
#include "base/text.h"

namespace tinderbox {
namespace {

// The manager's end.
class Manager {
 public:
  explicit Manager(const std::string& address) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, address.data(), address.size());
    if (address.starts_with('@')) at.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), length), 0) << address;
  }
  ~Manager() { ::close(fd_); }
  std::optional<std::string> next() const {
    std::array<char, 4096> bytes{};
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (n < 0) return std::nullopt;
    return std::string(bytes.data(), static_cast<std::size_t>(n));
  }

 private:
  int fd_;
};

std::string fresh_folder() {
  std::string path = (std::filesystem::temp_directory_path() / "tinderbox-XXXXXX").string();
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

TEST(Systemd, TellsAManagerByPathAndByAbstractName) {
  for (const std::string& address : {fresh_folder() + "/notify", format("@tinderbox-test-{}", ::getpid())}) {
    const Manager manager(address);
    const ServiceManager service(address);
    EXPECT_TRUE(service.tell("READY=1\nSTATUS=two models"));
    EXPECT_TRUE(service.tell("STOPPING=1"));
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=two models");
    EXPECT_EQ(manager.next(), "STOPPING=1");
    EXPECT_EQ(manager.next(), std::nullopt);
  }
}

TEST(Systemd, NobodyToTellIsNoTrouble) {
  EXPECT_FALSE(ServiceManager("").tell("READY=1"));
  EXPECT_FALSE(ServiceManager("/nonexistent/notify").tell("READY=1"));
  EXPECT_FALSE(ServiceManager("relative").tell("READY=1"));
  EXPECT_FALSE(ServiceManager("/" + std::string(200, 'x')).tell("READY=1"));
}

TEST(Systemd, AManagerThatDoesNotReadDoesNotStopTheService) {
  const std::string address = fresh_folder() + "/notify";
  const Manager manager(address);
  const ServiceManager service(address);
  bool refused = false;
  for (int i = 0; i < 100'000 && !refused; ++i) refused = !service.tell("WATCHDOG=1");
  EXPECT_TRUE(refused);
}

TEST(Systemd, SocketsAreForTheNamedProcessOnly) {
  const std::int64_t self = ::getpid();
  EXPECT_TRUE(handed_sockets("", "", self).empty());
  EXPECT_TRUE(handed_sockets("1", "1", self).empty());
  EXPECT_TRUE(handed_sockets(std::to_string(self), "0", self).empty());
  EXPECT_THROW(handed_sockets(std::to_string(self), "many", self), Error);
  EXPECT_THROW(handed_sockets(std::to_string(self), "-1", self), Error);
  EXPECT_THROW(handed_sockets(std::to_string(self), "1000000", self), Error);
}

int listening_socket(int family) {
  const int fd = ::socket(family, SOCK_STREAM, 0);
  if (family == AF_INET) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  }
  EXPECT_EQ(::listen(fd, 4), 0);
  return fd;
}

TEST(Systemd, KnowsWhatItWasHanded) {
  const int fd = listening_socket(AF_INET);
  const TcpListener listener = tcp_listener(fd);
  EXPECT_EQ(listener.fd, fd);
  EXPECT_EQ(listener.address, "127.0.0.1");
  EXPECT_GT(listener.port, 0);
  ::close(fd);
  EXPECT_THROW(tcp_listener(fd), Error);  // closed
  const int idle = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_THROW(tcp_listener(idle), Error);  // does not listen
  ::close(idle);
  const int local = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  const std::string path = fresh_folder() + "/s";
  std::memcpy(at.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(local, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  ASSERT_EQ(::listen(local, 1), 0);
  EXPECT_THROW(tcp_listener(local), Error);
  ::close(local);
}

TEST(Systemd, TakesDescriptorsFromThreeOn) {
  const pid_t child = ::fork();  // a process of its own: there, 3 and 4 are free to be put
  if (child == 0) {
    const int fd = listening_socket(AF_INET);
    ::dup2(fd, 3);
    ::dup2(fd, 4);
    const auto fds = handed_sockets(std::to_string(::getpid()), "2", ::getpid());
    const bool right = fds == std::vector<int>{3, 4} && (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// "hello" as `printf hello | gzip -9n` packs it.
constexpr std::string_view kPacked(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00", 25);

TEST(Gzip, Unpacks) { EXPECT_EQ(gunzip(kPacked, 5), "hello"); }

TEST(Gzip, RefusesWhatIsCutDamagedOrTooLarge) {
  for (std::size_t n = 0; n < kPacked.size(); ++n) EXPECT_THROW(gunzip(kPacked.substr(0, n), 100), Error) << n;
  std::string damaged(kPacked);
  damaged[12] ^= 1;
  EXPECT_THROW(gunzip(damaged, 100), Error);
  EXPECT_THROW(gunzip(kPacked, 4), Error);
  EXPECT_THROW(gunzip("plain text", 100), Error);
}

}  // namespace
}  // namespace tinderbox

#include "base/systemd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr int kFirstDescriptor = 3;  // SD_LISTEN_FDS_START
constexpr std::int64_t kDescriptorsMax = 64;

}  // namespace

bool ServiceManager::tell(std::string_view state) const {
  sockaddr_un to{};
  const bool known = address_.starts_with('/') || address_.starts_with('@');
  if (!known || address_.size() >= sizeof(to.sun_path)) return false;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (address_.front() == '@') to.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to),
                                length);
  ::close(fd);
  return sent == static_cast<ssize_t>(state.size());
}

std::vector<int> handed_sockets(std::string_view listen_pid, std::string_view listen_fds, std::int64_t pid) {
  if (parse_int(listen_pid) != pid) return {};  // meant for another process, which passed its environment on
  const auto n = parse_int(listen_fds);
  if (!n || *n < 0 || *n > kDescriptorsMax) throw_invalid(format("LISTEN_FDS={}: not a number of sockets", listen_fds));
  std::vector<int> fds;
  for (int fd = kFirstDescriptor; fd < kFirstDescriptor + static_cast<int>(*n); ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0 || ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) {
      throw_invalid(format("LISTEN_FDS={}: descriptor {} is not open", listen_fds, fd));
    }
    fds.push_back(fd);
  }
  return fds;
}

TcpListener tcp_listener(int fd) {
  int listens = 0, type = 0;
  socklen_t length = sizeof(listens);
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0) {
    throw_invalid(format("descriptor {}: not a socket that listens", fd));
  }
  length = sizeof(type);
  sockaddr_storage bound{};
  socklen_t bound_length = sizeof(bound);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &bound_length) != 0 ||
      (bound.ss_family != AF_INET && bound.ss_family != AF_INET6)) {
    throw_invalid(format("descriptor {}: listens for something else than TCP; give ListenStream= an address and port",
                         fd));
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  TcpListener listener{.fd = fd, .address = {}, .port = 0};
  if (bound.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(bound);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    listener.port = ntohs(v4.sin_port);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(bound);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    listener.port = ntohs(v6.sin6_port);
  }
  listener.address = text.data();
  return listener;
}

}  // namespace tinderbox

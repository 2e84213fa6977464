// What a service manager and its service tell each other (sd_notify(3), sd_listen_fds(3)), without its library: states
// as datagrams to a socket that it names, and sockets that it listens on for us. Says nothing and takes nothing if
// there is no such manager. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

class ServiceManager {
 public:
  // notify_socket: $NOTIFY_SOCKET: a path, or @NAME in the abstract namespace; empty: nobody listens.
  explicit ServiceManager(std::string notify_socket) : address_(std::move(notify_socket)) {}

  // "READY=1", "STATUS=...", "WATCHDOG=1", several with line breaks between them. Whether it was taken; a manager that
  // does not read must not stop the service, so nothing waits here.
  bool tell(std::string_view state) const;

 private:
  std::string address_;
};

// The sockets handed over, from descriptor 3 on, closed on exec from now on: $LISTEN_FDS of them, if $LISTEN_PID is
// this process. Throws Error::Invalid if that many are not open.
std::vector<int> handed_sockets(std::string_view listen_pid, std::string_view listen_fds, std::int64_t pid);

struct TcpListener {
  int fd = -1;
  std::string address;  // numeric
  std::uint16_t port = 0;
};
// What that socket is. Throws Error::Invalid unless it listens for TCP.
TcpListener tcp_listener(int fd);

}  // namespace tinderbox

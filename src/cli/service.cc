#include "cli/service.h"

#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox::cli {
namespace {

std::string taken(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

}  // namespace

Service::Service() : manager_(taken("NOTIFY_SOCKET")) {
  const std::string pid = taken("LISTEN_PID"), n = taken("LISTEN_FDS");
  taken("LISTEN_FDNAMES");
  const std::vector<int> fds = handed_sockets(pid, n, ::getpid());
  if (fds.size() > 1) throw_invalid(format("LISTEN_FDS={}: the box listens on one socket; give it one", n));
  if (!fds.empty()) listener_ = tcp_listener(fds.front());
}

void Service::ready(const std::string& status) const { manager_.tell("READY=1\nSTATUS=" + status); }
void Service::stopping() const { manager_.tell("STOPPING=1\nSTATUS=finishing the answers in the making"); }
void Service::alive() const { manager_.tell("WATCHDOG=1"); }

}  // namespace tinderbox::cli

// This process as a service: what its manager's environment says (systemd's: NOTIFY_SOCKET, LISTEN_FDS), and what it
// is told. Does nothing in a terminal.
#pragma once

#include <optional>
#include <string>

#include "base/systemd.h"

namespace tinderbox::cli {

class Service {
 public:
  // Takes the variables out of the environment, so that no child believes they are meant for it; before threads start.
  // Throws Error if what was handed over is not one TCP socket that listens.
  Service();

  const std::optional<TcpListener>& listener() const { return listener_; }
  void ready(const std::string& status) const;
  void stopping() const;
  void alive() const;  // for the manager's watchdog

 private:
  ServiceManager manager_;
  std::optional<TcpListener> listener_;
};

}  // namespace tinderbox::cli

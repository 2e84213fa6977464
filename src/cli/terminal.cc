#include "cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <string_view>

#include "base/check.h"
#include "base/error.h"

namespace tinderbox::cli {
namespace {

// Other screen, no cursor, no wrapping at the right end; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l", kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";
// Terminals that know synchronised updates show a picture when it is whole; others take no notice.
constexpr std::string_view kBegin = "\x1b[?2026h\x1b[H", kEnd = "\x1b[J\x1b[?2026l";

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;  // it is gone
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

TerminalSize terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

Terminal::Terminal() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) throw_invalid("stdin is no terminal; use --once");
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, &blocked_before_);
  signals_ = signalfd(-1, &signals, SFD_CLOEXEC);
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // stopped, it would leave the terminal as it is
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  write_all(kEnter);
}

Terminal::~Terminal() {
  write_all(kLeave);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  close(signals_);
  // What asked to stop has been heeded; it must not end the program now that it may.
  timespec at_once{};
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&signals, signal);
  while (sigtimedwait(&signals, nullptr, &at_once) > 0) {
  }
  sigprocmask(SIG_SETMASK, &blocked_before_, nullptr);
}

void Terminal::show(const std::vector<std::string>& lines) {
  std::string out(kBegin);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out.append(i == 0 ? "" : "\r\n").append(lines[i]).append("\x1b[K");
  }
  write_all(out.append(kEnd));
}

Key take_key(std::string& bytes) {
  CHECK(!bytes.empty());
  std::size_t n = 1;
  if (bytes.size() > 2 && bytes[0] == '\x1b' && (bytes[1] == '[' || bytes[1] == 'O')) {
    // A sequence ends with its first byte from '@' to '~'.
    for (n = 2; n < bytes.size() && (bytes[n] < '@' || bytes[n] > '~'); ++n) {
    }
    n = std::min(n + 1, bytes.size());
  }
  const std::string key = bytes.substr(0, n);
  bytes.erase(0, n);
  if (key == "q" || key == "Q" || key == "\x1b") return Key::Quit;
  if (key == "\x1b[A" || key == "\x1bOA" || key == "k") return Key::Up;
  if (key == "\x1b[B" || key == "\x1bOB" || key == "j") return Key::Down;
  if (key == "\x1b[5~") return Key::PageUp;
  if (key == "\x1b[6~") return Key::PageDown;
  return Key::None;
}

Key Terminal::wait(double seconds) {
  if (!read_.empty()) return take_key(read_);
  std::array<pollfd, 2> watched = {pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{signals_, POLLIN, 0}};
  const int n = poll(watched.data(), watched.size(), static_cast<int>(std::ceil(std::max(seconds, 0.0) * 1e3)));
  if (n <= 0) return Key::None;
  if (watched[1].revents != 0) {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof info) != sizeof info) return Key::None;
    return info.ssi_signo == SIGWINCH ? Key::Resized : Key::Quit;
  }
  std::array<char, 64> bytes{};
  const ssize_t got = read(STDIN_FILENO, bytes.data(), bytes.size());
  if (got <= 0) return Key::Quit;
  read_.assign(bytes.data(), static_cast<std::size_t>(got));
  return take_key(read_);
}

}  // namespace tinderbox::cli

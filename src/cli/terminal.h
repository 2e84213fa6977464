// The terminal while a program owns all of it: other screen, no echo, keys at once, no cursor. Given back as it was
// when this ends, also by a signal that asks to stop. One at a time, on the main thread, before others start.
#pragma once

#include <string>
#include <vector>

#include <signal.h>
#include <termios.h>

namespace tinderbox::cli {

struct TerminalSize {
  int columns = 80, rows = 24;
};
// Of the terminal on stdout; the default if there is none.
TerminalSize terminal_size();

class Terminal {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // In one piece, over what was there, so that nothing flickers.
  void show(const std::vector<std::string>& lines);

  enum class Key { None, Quit, Up, Down, PageUp, PageDown, Resized };
  // The next key or signal within so many seconds; None: nothing came. Quit also for SIGINT, SIGTERM, SIGHUP and the
  // end of the input.
  Key wait(double seconds);

 private:
  Key key_of(const std::string& bytes) const;

  termios before_{};
  sigset_t blocked_before_{};
  int signals_ = -1;  // signalfd
};

}  // namespace tinderbox::cli

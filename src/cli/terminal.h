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

enum class Key { None, Quit, Up, Down, PageUp, PageDown, Resized };
// The first key of what was read, which it takes away; None if that means nothing. Requires bytes.
Key take_key(std::string& bytes);

class Terminal {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // In one piece, over what was there, so that nothing flickers.
  void show(const std::vector<std::string>& lines);

  // The next key or signal within so many seconds; None: nothing came. Quit also for SIGINT, SIGTERM, SIGHUP and the
  // end of the input.
  Key wait(double seconds);

 private:
  termios before_{};
  sigset_t blocked_before_{};
  int signals_ = -1;  // signalfd
  std::string read_;  // keys not yet taken
};

}  // namespace tinderbox::cli

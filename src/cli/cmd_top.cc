#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/top_screen.h"
#include "http/http_client.h"

namespace tinderbox::cli {
namespace {

constexpr int kPage = 10;
constexpr const char* kState = "box/state";
const Seconds kPatience(2);

bool terminal_shows_colour() {
  const auto is = [](const char* name) -> std::string_view {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  return isatty(STDOUT_FILENO) == 1 && is("NO_COLOR").empty() && is("TERM") != "dumb";
}

int look_once(const TopOptions& options) {
  const std::string text = box_text(options, kState);
  const BoxState state = parse_box_state(text);
  if (options.json) {
    print(text + (text.ends_with('\n') ? "" : "\n"));
    return 0;
  }
  TopHistory history;
  history.add(state);
  const TopView view{.width = terminal_size().columns, .colour = terminal_shows_colour()};
  for (const std::string& line : top_screen(state, history, view)) print(line + "\n");
  return 0;
}

// One look after the other, until somebody asks to stop.
int watch(const TopOptions& options) {
  // Before the terminal is taken: if the box cannot be reached at all, a message is all there is to show.
  BoxState state = parse_box_state(box_text(options, kState));
  TopHistory history;
  history.add(state);
  Terminal terminal;
  const WallClock clock;
  TopView view{.colour = terminal_shows_colour()};
  for (TimePoint next = clock.now() + to_duration(Seconds(options.every_s));;) {
    const TerminalSize size = terminal_size();
    view.width = size.columns;
    view.height = size.rows;
    terminal.show(top_screen(state, history, view));
    const Key key = terminal.wait(to_seconds(next - clock.now()).value());
    const auto scroll = [&](int by) {
      view.first_request = std::clamp(view.first_request + by, 0, static_cast<int>(state.requests.size()));
    };
    switch (key) {
      case Key::Quit: return 0;
      case Key::Up: scroll(-1); continue;
      case Key::Down: scroll(1); continue;
      case Key::PageUp: scroll(-kPage); continue;
      case Key::PageDown: scroll(kPage); continue;
      case Key::Resized: continue;
      case Key::None: break;
    }
    if (clock.now() < next) continue;  // a key that means nothing
    next = clock.now() + to_duration(Seconds(options.every_s));
    try {
      state = parse_box_state(box_text(options, kState));
      view.notice.clear();
      history.add(state);
    } catch (const Error& error) {
      view.notice = format("as last seen: {}", error.what());
    }
  }
}

}  // namespace

std::string box_text(const TopOptions& options, const std::string& path) {
  Url url = parse_url(options.url);
  url.path = (url.path.ends_with('/') ? url.path : url.path + "/") + path;
  const HttpReply reply = http_get(url, options.key, kPatience);
  if (reply.status == 401 || reply.status == 403) {
    throw_invalid(format("{}: the box asks for a{} key; give --key", options.url, options.key.empty() ? "" : "nother"));
  }
  if (reply.status != 200) {
    throw_invalid(format("{}: /{} answered {}; is it a Tinderbox of this version?", options.url, path, reply.status));
  }
  return reply.body;
}

int cmd_top(const TopOptions& options) {
  const bool terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  return options.once || options.json || !terminal ? look_once(options) : watch(options);
}

}  // namespace tinderbox::cli

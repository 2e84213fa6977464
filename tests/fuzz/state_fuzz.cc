// What `tinderbox top` reads of a server, and shows: no document moves the cursor, or a line beyond the terminal's
// width.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "cli/screen_row.h"
#include "cli/top_screen.h"
#include "http/state_document.h"

namespace {

// Columns, control sequences left out; all other control characters are a bug.
int shown_columns(std::string_view line) {
  int n = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line.substr(i).starts_with("\x1b[")) {
      i = line.find('m', i);
      CHECK(i != std::string_view::npos);
      continue;
    }
    const auto c = static_cast<unsigned char>(line[i]);
    CHECK(c >= 0x20 && c != 0x7f);
    n += (c & 0xC0) != 0x80 ? 1 : 0;
  }
  return n;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tinderbox;
  try {
    const BoxState state = parse_box_state({reinterpret_cast<const char*>(data), size});
    cli::TopHistory history;
    history.add(state);
    for (const int width : {40, 93}) {
      const cli::TopView view{.width = width, .height = width == 40 ? 20 : 0, .colour = width == 40};
      for (const auto& line : cli::top_screen(state, history, view)) CHECK(shown_columns(line) <= width);
    }
  } catch (const Error&) {
  }
  return 0;
}

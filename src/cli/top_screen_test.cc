#include "cli/top_screen.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "base/text.h"
#include "cli/screen_row.h"
#include "cli/terminal.h"

namespace tinderbox::cli {
namespace {

namespace fs = std::filesystem;

BoxState state_named(const char* name) {
  return parse_box_state(read_file(fs::path(TINDERBOX_SOURCE_DIR) / "tests/fuzz/corpus/state" / name));
}

// Without control sequences.
std::string plain(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line.substr(i).starts_with("\x1b[")) {
      i = line.find('m', i);
    } else {
      out += line[i];
    }
  }
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

TopHistory some_history() {
  TopHistory history;
  BoxState state = state_named("busy.json");
  for (int i = 0; i < 60; ++i) {
    state.sensors->gpu_utilisation = 0.5 + 0.5 * std::sin(0.3 * i);
    state.sensors->wall_w = 30 + i;
    state.traffic.generated_tokens_per_s = i % 10;
    history.add(state);
  }
  history.add(state_named("busy.json"));
  return history;
}

TEST(TopScreen, LooksLikeThis) {
  const std::string got = joined(top_screen(state_named("busy.json"), some_history(), {.width = 80}));
  const fs::path golden = fs::path(TINDERBOX_SOURCE_DIR) / "tests/golden/top_80.txt";
  EXPECT_EQ(got, read_file(golden)) << "if it should look like this, it belongs into " << golden << ":\n" << got;
}

// The law beside it: whatever the terminal, no line is wider and there are not more lines; colours change no character.
TEST(TopScreenLaw, EveryLineFits) {
  const TopHistory history = some_history();
  for (const char* name : {"busy.json", "bare.json"}) {
    const BoxState state = state_named(name);
    for (int width = 40; width <= 200; ++width) {
      for (const int height : {0, 1, 2, 10, 24, 50}) {
        const TopView view{.width = width, .height = height};
        TopView coloured = view;
        coloured.colour = true;
        const auto lines = top_screen(state, history, view), styled = top_screen(state, history, coloured);
        ASSERT_EQ(lines.size(), styled.size());
        if (height > 0) {
          EXPECT_LE(lines.size(), static_cast<std::size_t>(height));
        }
        for (std::size_t i = 0; i < lines.size(); ++i) {
          EXPECT_LE(columns(lines[i]), width) << lines[i];
          EXPECT_EQ(plain(styled[i]), lines[i]);
        }
      }
    }
  }
}

TEST(TopScreen, NoNameMovesTheCursor) {
  BoxState state = state_named("busy.json");
  state.models[0].id = "a\x1b[2Jb\r\nc\u20ac";
  state.requests[0].key = "\x07";
  state.sensors->nodes_c[0].first = "\t";
  for (const std::string& line : top_screen(state, {}, {.width = 120})) {
    for (const char c : line) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << line;
  }
  EXPECT_EQ(printable("a\x1b[2Jb\u20acc"), "a?[2Jb?c");
}

TEST(TopScreen, RequestsScrollAsFarAsThereAreSome) {
  BoxState state = state_named("busy.json");
  const BoxState::Request request = state.requests[0];
  state.requests.clear();
  for (int i = 0; i < 100; ++i) {
    state.requests.push_back(request);
    state.requests.back().id = format("r{}", i);
  }
  const auto shown = [&](int first) {
    return joined(top_screen(state, {}, {.width = 100, .height = 40, .first_request = first}));
  };
  EXPECT_NE(shown(0).find("1 to "), std::string::npos) << shown(0);
  EXPECT_NE(shown(0).find(" r0 "), std::string::npos);
  EXPECT_EQ(shown(5).find(" r4 "), std::string::npos);
  EXPECT_NE(shown(5).find(" r5 "), std::string::npos);
  EXPECT_NE(shown(1000).find(" r99 "), std::string::npos) << "the last ones stay in sight";
}

TEST(TopScreen, SaysWhatIsWrong) {
  BoxState state = state_named("busy.json");
  state.down = true;
  const std::string text = joined(top_screen(state, {}, {.width = 100, .notice = "nobody there"}));
  EXPECT_NE(text.find("DOWN"), std::string::npos);
  EXPECT_NE(text.find("nobody there"), std::string::npos);
  EXPECT_NE(text.find("stuck-clock for 40 s"), std::string::npos) << text;
  EXPECT_NE(text.find("blocked-intake in 60 s"), std::string::npos) << text;
}

TEST(ScreenRow, BarsAndChartsMeasure) {
  EXPECT_EQ(bar(0.5, 4), "██");
  EXPECT_EQ(bar(0.53125, 4), "██▏");
  EXPECT_EQ(bar(2, 3), "███");
  EXPECT_EQ(bar(kNotKnown, 3), "");
  const std::vector<double> values = {0, 1, 4, 8, kNotKnown};
  EXPECT_EQ(chart(values, 8, 6, 1), (std::vector<std::string>{"  ▁▄█ "}));
  EXPECT_EQ(chart(values, 8, 3, 2), (std::vector<std::string>{" █ ", "██ "}));
  EXPECT_TRUE(chart(values, 8, 3, 0).empty());
}

TEST(Terminal, KeysAreTakenOneByOne) {
  std::string bytes = "\x1b[A\x1b[6~x\x1bOBq\x1b[1;5H\x1b";
  std::vector<Key> keys;
  while (!bytes.empty()) keys.push_back(take_key(bytes));
  EXPECT_EQ(keys, (std::vector<Key>{Key::Up, Key::PageDown, Key::None, Key::Down, Key::Quit, Key::None, Key::Quit}));
}

TEST(TopHistory, KeepsTheLastLooks) {
  TopHistory history;
  BoxState state;
  for (std::size_t i = 0; i < TopHistory::kLooksMax + 5; ++i) {
    state.traffic.generated_tokens_per_s = static_cast<double>(i);
    history.add(state);
  }
  EXPECT_EQ(history.generated_per_s.size(), TopHistory::kLooksMax);
  EXPECT_EQ(history.generated_per_s.front(), 5);
  EXPECT_EQ(history.generated_per_s.back(), static_cast<double>(TopHistory::kLooksMax + 4));
}

}  // namespace
}  // namespace tinderbox::cli

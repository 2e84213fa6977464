#include "cli/screen_row.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"

namespace tinderbox::cli {
namespace {

constexpr std::array<std::string_view, 9> kRising = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<std::string_view, 8> kGrowing = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

// As many characters as fit.
std::string_view cut(std::string_view text, int most) {
  std::size_t end = 0;
  for (int n = 0; end < text.size(); ++end) {
    if (begins_character(text[end]) && n++ == most) break;
  }
  return text.substr(0, end);
}

}  // namespace

int columns(std::string_view utf8) { return static_cast<int>(std::ranges::count_if(utf8, begins_character)); }

std::string printable(std::string_view foreign) {
  std::string out;
  for (const char c : foreign) {
    if (!begins_character(c)) continue;
    out += c >= ' ' && c < 127 ? c : '?';
  }
  return out;
}

ScreenRow& ScreenRow::add(std::string_view text, std::string_view style) {
  const std::string_view fits = cut(text, left());
  if (fits.empty()) return *this;
  const bool styled = colour_ && !style.empty();
  if (styled) text_.append("\x1b[").append(style).append("m");
  text_.append(fits);
  if (styled) text_.append("\x1b[0m");
  used_ += columns(fits);
  return *this;
}

ScreenRow& ScreenRow::pad_to(int column) {
  const int n = std::min(column, width_) - used_;
  if (n > 0) add(std::string(static_cast<std::size_t>(n), ' '));
  return *this;
}

ScreenRow& ScreenRow::right(std::string_view text, std::string_view style) {
  if (columns(text) >= left()) return *this;
  return pad_to(width_ - columns(text)).add(text, style);
}

std::string bar(double share, int width) {
  if (width <= 0 || std::isnan(share)) return {};
  const auto eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * 8 * width));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += kRising.back();
  return out.append(kGrowing[static_cast<std::size_t>(eighths % 8)]);
}

std::vector<std::string> chart(std::span<const double> values, double highest, int width, int rows) {
  std::vector<std::string> out(static_cast<std::size_t>(std::max(rows, 0)));
  const auto n = static_cast<std::size_t>(std::max(width, 0));
  const std::size_t shown = std::min(n, values.size());
  for (int row = 0; row < rows; ++row) {
    std::string& line = out[static_cast<std::size_t>(row)];
    line.assign(n - shown, ' ');
    for (const double value : values.last(shown)) {
      // What is not 0 is seen.
      const double share = std::isnan(value) || !(highest > 0) ? 0 : std::clamp(value / highest, 0.0, 1.0);
      const int level = std::max(share > 0 ? 1 : 0, static_cast<int>(std::lround(share * 8 * rows)));
      line += kRising[static_cast<std::size_t>(std::clamp(level - 8 * (rows - 1 - row), 0, 8))];
    }
  }
  return out;
}

}  // namespace tinderbox::cli

// Lines of a terminal: text of single-width characters with colours, cut to a width; bars and charts of block elements.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox::cli {

// Of a text of single-width characters.
int columns(std::string_view utf8);
// Foreign text as it may be shown: what is not printable ASCII becomes '?', so that no name moves the cursor.
std::string printable(std::string_view foreign);

namespace style {
inline constexpr std::string_view kPlain = "", kBold = "1", kDim = "2", kRed = "31", kGreen = "32", kYellow = "33",
                                  kBlue = "34", kMagenta = "35", kCyan = "36";
}  // namespace style

class ScreenRow {
 public:
  ScreenRow(int width, bool colour) : width_(width), colour_(colour) {}
  // Of what does not fit the end is cut off. Style: parameters of SGR ("1;31").
  ScreenRow& add(std::string_view text, std::string_view style = {});
  ScreenRow& pad_to(int column);
  // At the right end, if it fits beside what is there.
  ScreenRow& right(std::string_view text, std::string_view style = {});
  int left() const { return width_ - used_; }
  int used() const { return used_; }
  const std::string& str() const { return text_; }

 private:
  int width_, used_ = 0;
  bool colour_;
  std::string text_;
};

// A share of so many columns, to the eighth of one; empty where it is not known.
std::string bar(double share, int width);
// The last `width` values over `highest`, one column each, newest at the right, as rows from the top.
std::vector<std::string> chart(std::span<const double> values, double highest, int width, int rows);

}  // namespace tinderbox::cli

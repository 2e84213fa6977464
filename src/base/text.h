// Text in and out: formatting (fmt), numbers, quantities with units, aligned tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/units.h"

namespace tinderbox {

using fmt::format;

// Whole-string parses; nullopt if anything is left over, out of range or not finite.
std::optional<double> parse_double(std::string_view text);
std::optional<std::int64_t> parse_int(std::string_view text);

// A number and its unit as written ("273 GB/s" -> 273, "GB/s").
struct UnitText {
  double number;
  std::string unit;
};

// Splits "<number> <unit>"; the blank may be missing ("4GiB"). Throws Error::Invalid, naming `where` and what
// was expected, if there is no number or no unit.
UnitText split_unit(std::string_view text, std::string_view where);

// Parses a quantity with its unit; throws Error::Invalid naming `where` (file and key), the unit found and the
// units that fit. SI prefixes are decimal (GB = 1e9), KiB/MiB/GiB/TiB binary.
Seconds parse_seconds(std::string_view text, std::string_view where);              // ns us µs ms s min h
Hertz parse_hertz(std::string_view text, std::string_view where);                  // Hz kHz MHz GHz
Bytes parse_bytes(std::string_view text, std::string_view where);                  // B kB MB GB TB KiB ...
BytesPerSecond parse_bytes_per_second(std::string_view text, std::string_view where);  // GB/s, Gb/s (bits)
FlopsPerSecond parse_flops_per_second(std::string_view text, std::string_view where);  // TFLOP/s ...
Watts parse_watts(std::string_view text, std::string_view where);                  // mW W kW
Joules parse_joules(std::string_view text, std::string_view where);                // pJ nJ mJ J kJ
Celsius parse_celsius(std::string_view text, std::string_view where);              // C °C

// Human forms with about three significant digits: "59.6 GB", "1.21 ms", "143 GB/s".
std::string human(Bytes bytes);
std::string human(Seconds seconds);
std::string human(BytesPerSecond rate);
std::string human(FlopsPerSecond rate);
// About `digits` significant digits without exponent: 1234.5 -> "1,234" style is not used; plain decimals.
std::string human_number(double value, int digits = 4);

// Rows of cells printed in aligned columns: the first column left, the others right aligned unless told.
class Table {
 public:
  explicit Table(std::vector<std::string> header, std::string alignment = {});  // alignment: "lrr..."
  void add(std::vector<std::string> row);
  std::string str() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::string alignment_;
};

std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
// The candidates nearest to `word` by edit distance (at most 3, closest first), for "did you mean".
std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);
// " (did you mean 'x' or 'y'?)" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

// The length of the longest prefix of `bytes` that ends on a UTF-8 character boundary; used to hold back
// an unfinished character at the end of a token stream.
std::size_t complete_utf8_prefix(std::string_view bytes);
// Replaces every ill-formed sequence by U+FFFD.
std::string to_valid_utf8(std::string_view bytes);

}  // namespace tinderbox

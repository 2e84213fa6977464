// A sweep: many simulations described by one TOML file, numbered so that anyone can run any of
// them.
//   [base]    what all points share, in the words of the command line: rate = 2
//   [grid]    key = [values]: every combination, in file order, the last key changing fastest
//   [random]  key = { low, high, log } or [choices], with points = N and seed: drawn independently
//   [design]  seeds = N: every point with seeds s, s + 1, ... of the workload
// A point is one cell of the grid, one draw, one seed; draws and seeds are the same in every cell
// (common random numbers), so cells compare pairwise. What a point is follows from the file and its
// number alone. Keys and values are texts here; the command line's own parser reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

// The texts of an option as on the command line: one, several of an option that may be repeated, or
// none. A switch that is on or off is "true" or "false".
using SweepValue = std::vector<std::string>;

struct SweepSetting {
  std::string key;  // of the command line, without dashes before it: "slo-ttft"
  SweepValue value;
  int line = 0;  // in the file
};

struct SweepAxis {
  std::string key;
  std::vector<SweepValue> values;
  int line = 0;
};

struct SweepDraw {
  std::string key;
  // Drawn evenly within; log: evenly in the logarithm. whole: a whole number. Real numbers have six
  // significant digits, so that they are the same wherever they are drawn.
  double low = 0, high = 0;
  bool log = false, whole = false;
  std::vector<SweepValue> choices;  // instead, if there are any
  int line = 0;
};

struct Sweep {
  std::string name;  // of the file, for messages
  std::string text;  // as it was read
  std::vector<SweepSetting> base;
  std::vector<SweepAxis> grid;
  std::vector<SweepDraw> random;
  std::int64_t draws = 1, seeds = 1;
  std::uint64_t draw_seed = 0;
};

inline constexpr std::int64_t kSweepPointsMax = 1'000'000;

// keys: what may be set. Throws Error::Invalid, "file:line: ...", for bad TOML, sections or keys
// that are unknown (with the nearest ones) or given twice, values of a kind that no option has, and
// a file that varies nothing; Error::TooLarge over the limits: 512 KiB, kSweepPointsMax points.
Sweep parse_sweep(std::string_view toml, std::string_view name,
                  const std::vector<std::string>& keys);

std::int64_t n_points(const Sweep& sweep);
// The settings of a point, in file order, ending with "seed" if the design has seeds. Requires 0 <=
// point < n_points().
std::vector<SweepSetting> settings_of(const Sweep& sweep, std::int64_t point);
// Keys whose values differ between points, and all keys, in that order.
std::vector<std::string> varied_keys(const Sweep& sweep);
std::vector<std::string> all_keys(const Sweep& sweep);

// What decides the points, a line each: two files with the same design have the same points,
// whatever their comments and layout.
std::string design_of(const Sweep& sweep);

// Which points of a sweep a process runs: those whose number leaves index modulo n.
struct Shard {
  std::int64_t index = 0, n = 1;
  bool has(std::int64_t point) const { return point % n == index; }
};
// "2/8" is the second of eight. Throws Error::Invalid naming the option.
Shard parse_shard(std::string_view text, std::string_view option);

}  // namespace tinderbox

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "box/sweep.h"

namespace tinderbox {
namespace {

constexpr std::string_view kSeed = "seed";

SweepValue drawn(const SweepDraw& draw, Random& random) {
  if (!draw.choices.empty()) {
    const auto n = static_cast<std::int64_t>(draw.choices.size());
    return draw.choices[static_cast<std::size_t>(random.range(0, n - 1))];
  }
  if (draw.whole && !draw.log) {
    return {format("{}", random.range(static_cast<std::int64_t>(draw.low),
                                      static_cast<std::int64_t>(draw.high)))};
  }
  const double u = random.uniform();
  // A whole number k has the part of the logarithm from k to k + 1.
  const double high = draw.whole ? draw.high + 1 : draw.high;
  const double value =
      draw.log ? std::exp(std::log(draw.low) + u * (std::log(high) - std::log(draw.low)))
               : draw.low + u * (high - draw.low);
  if (draw.whole)
    return {format("{}",
                   static_cast<std::int64_t>(std::clamp(std::floor(value), draw.low, draw.high)))};
  const std::optional<double> rounded = parse_double(format("{:.6g}", value));
  CHECK(rounded);
  return {format("{}", std::clamp(*rounded, draw.low, draw.high))};
}

std::uint64_t first_seed(const Sweep& sweep) {
  const auto base = std::ranges::find(sweep.base, kSeed, &SweepSetting::key);
  return base == sweep.base.end()
             ? 0
             : static_cast<std::uint64_t>(parse_int(base->value.at(0)).value());
}

// Of any two different values the texts differ.
std::string quoted(const SweepValue& value) {
  std::vector<std::string> texts;
  for (const std::string& text : value) {
    const bool plain = text.find_first_of(" ,+[]\"\\\n") == std::string::npos;
    std::string escaped;
    for (const char c : text)
      escaped += c == '"' || c == '\\' ? format("\\{}", c) : c == '\n' ? "\\n" : std::string(1, c);
    texts.push_back(plain ? text : format("\"{}\"", escaped));
  }
  return value.size() == 1 ? texts[0] : format("[{}]", fmt::join(texts, " + "));
}

std::string list_of(const std::vector<SweepValue>& values) {
  std::vector<std::string> texts;
  for (const SweepValue& value : values) texts.push_back(quoted(value));
  return format("[{}]", fmt::join(texts, ", "));
}

}  // namespace

std::int64_t n_points(const Sweep& sweep) {
  std::int64_t n = sweep.draws * sweep.seeds;
  for (const SweepAxis& axis : sweep.grid) n *= static_cast<std::int64_t>(axis.values.size());
  return n;
}

std::vector<SweepSetting> settings_of(const Sweep& sweep, std::int64_t point) {
  CHECK(point >= 0 && point < n_points(sweep));
  const std::int64_t seed = point % sweep.seeds;
  const std::int64_t draw = point / sweep.seeds % sweep.draws;
  std::int64_t cell = point / sweep.seeds / sweep.draws;
  std::vector<SweepSetting> out;
  for (const SweepSetting& setting : sweep.base) {
    if (sweep.seeds == 1 || setting.key != kSeed) out.push_back(setting);
  }
  const std::size_t first = out.size();
  for (std::size_t i = sweep.grid.size(); i-- > 0;) {
    const SweepAxis& axis = sweep.grid[i];
    const auto n = static_cast<std::int64_t>(axis.values.size());
    out.push_back({axis.key, axis.values[static_cast<std::size_t>(cell % n)], axis.line});
    cell /= n;
  }
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  Random random(sweep.draw_seed, Stream::Sweep, static_cast<std::uint32_t>(draw));
  for (const SweepDraw& d : sweep.random) out.push_back({d.key, drawn(d, random), d.line});
  if (sweep.seeds > 1) {
    out.push_back({std::string(kSeed),
                   {format("{}", first_seed(sweep) + static_cast<std::uint64_t>(seed))},
                   0});
  }
  return out;
}

std::vector<std::string> varied_keys(const Sweep& sweep) {
  std::vector<std::string> keys;
  for (const SweepAxis& axis : sweep.grid) keys.push_back(axis.key);
  for (const SweepDraw& draw : sweep.random) keys.push_back(draw.key);
  if (sweep.seeds > 1) keys.emplace_back(kSeed);
  return keys;
}

std::vector<std::string> all_keys(const Sweep& sweep) {
  std::vector<std::string> keys;
  for (const SweepSetting& setting : settings_of(sweep, 0)) keys.push_back(setting.key);
  return keys;
}

std::string design_of(const Sweep& sweep) {
  std::string out;
  for (const SweepSetting& s : sweep.base)
    out += format("[base] {} = {}\n", s.key, quoted(s.value));
  for (const SweepAxis& axis : sweep.grid)
    out += format("[grid] {} = {}\n", axis.key, list_of(axis.values));
  for (const SweepDraw& d : sweep.random) {
    out += d.choices.empty() ? format("[random] {} = {} to {}{}{}\n", d.key, d.low, d.high,
                                      d.log ? " log" : "", d.whole ? " whole" : "")
                             : format("[random] {} = {}\n", d.key, list_of(d.choices));
  }
  if (!sweep.random.empty())
    out += format("[random] points = {}\n[random] seed = {}\n", sweep.draws, sweep.draw_seed);
  return out + format("[design] seeds = {}\n", sweep.seeds);
}

Shard parse_shard(std::string_view text, std::string_view option) {
  const std::vector<std::string> parts = split(text, '/');
  const auto index = parts.size() == 2 ? parse_int(parts[0]) : std::nullopt;
  const auto n = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!index || !n || *n < 1 || *n > kSweepPointsMax || *index < 1 || *index > *n) {
    throw_invalid(format("{}: expected I/N, part I of N, as 1/8 to 8/8; got '{}'", option, text));
  }
  return {*index - 1, *n};
}

}  // namespace tinderbox

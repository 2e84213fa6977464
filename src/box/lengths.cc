#include "box/lengths.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kSpreadMax = 100;

double number(std::string_view text, std::string_view whole, std::string_view name) {
  const auto value = parse_double(trim(text));
  if (!value || !std::isfinite(*value)) {
    throw_invalid(format("{}: '{}' in '{}' is no number; write 512, uniform:100-900, "
                         "lognormal:512,1.2 or file:NAME",
                         name, text, whole));
  }
  return *value;
}

std::int64_t tokens(std::string_view text, std::string_view whole, std::string_view name) {
  const double value = number(text, whole, name);
  if (value < 1 || value > static_cast<double>(kLengthMax)) {
    throw_invalid(format("{}: {} in '{}' must be 1 to {} tokens", name, text, whole, kLengthMax));
  }
  return std::llround(value);
}

Lengths empirical(std::string_view file, std::string_view name) {
  Lengths lengths{.kind = Lengths::Kind::Empirical};
  std::int64_t line = 0;
  const std::string text = read_file(std::string(file));
  for (const std::string& row : split(text, '\n')) {
    ++line;
    if (trim(row).empty()) continue;
    const std::string where = format("{}: {}:{}", name, file, line);
    lengths.values.push_back(static_cast<std::int32_t>(tokens(trim(row), row, where)));
  }
  if (lengths.values.empty()) throw_invalid(format("{}: {} holds no lengths", name, file));
  const auto [low, high] = std::ranges::minmax(lengths.values);
  lengths.low = low;
  lengths.high = high;
  return lengths;
}

}  // namespace

std::int32_t Lengths::draw(Random& random) const {
  switch (kind) {
    case Kind::Uniform:
      return static_cast<std::int32_t>(random.range(low, high));
    case Kind::LogNormal: {
      // Of the logarithm: variance ln(1 + spread^2), mean ln(mean) - variance / 2.
      const double variance = std::log1p(spread * spread);
      const double log = std::log(mean) - variance / 2 + std::sqrt(variance) * random.normal();
      const double value = std::clamp(std::exp(log), static_cast<double>(low), static_cast<double>(high));
      return static_cast<std::int32_t>(std::llround(value));
    }
    case Kind::Empirical:
      break;
  }
  const auto n = static_cast<std::int64_t>(values.size());
  return values[static_cast<std::size_t>(random.range(0, n - 1))];
}

void verify(const Lengths& l, std::string_view name) {
  if (l.low < 1 || l.low > l.high || l.high > kLengthMax) {
    throw_invalid(format("{}: lengths of {} to {} tokens, but they must ascend from 1 to at most {}", name,
                         l.low, l.high, kLengthMax));
  }
  if (l.kind == Lengths::Kind::LogNormal &&
      !(l.mean >= 1 && l.spread >= 0 && l.spread <= kSpreadMax)) {
    throw_invalid(format("{}: a log-normal of mean {} and spread {}, but they must be 1 or more, and 0 to {}",
                         name, l.mean, l.spread, kSpreadMax));
  }
  if (l.kind == Lengths::Kind::Empirical && l.values.empty()) {
    throw_invalid(format("{}: no lengths to draw from", name));
  }
}

Lengths parse_lengths(std::string_view text, std::string_view name) {
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  Lengths lengths;
  if (colon == std::string_view::npos) {
    lengths.low = lengths.high = tokens(text, text, name);
  } else if (kind == "uniform") {
    const auto ends = split(rest, '-');
    if (ends.size() != 2) throw_invalid(format("{}: '{}'; write uniform:LOW-HIGH", name, text));
    lengths.low = tokens(ends[0], text, name);
    lengths.high = tokens(ends[1], text, name);
  } else if (kind == "lognormal") {
    const auto parts = split(rest, ',');
    if (parts.size() < 2 || parts.size() > 3) {
      throw_invalid(format("{}: '{}'; write lognormal:MEAN,SPREAD or lognormal:MEAN,SPREAD,HIGHEST, with the "
                           "spread as a share of the mean",
                           name, text));
    }
    lengths.kind = Lengths::Kind::LogNormal;
    lengths.mean = number(parts[0], text, name);
    lengths.spread = number(parts[1], text, name);
    const std::string highest = parts.size() == 3 ? parts[2] : "";
    lengths.high = highest.empty() ? std::min<std::int64_t>(kLengthMax, 16 * tokens(parts[0], text, name))
                                   : tokens(highest, text, name);
  } else if (kind == "file") {
    return empirical(rest, name);
  } else {
    throw_invalid(format("{}: '{}' is no kind of length{}", name, kind,
                         did_you_mean(kind, {"uniform", "lognormal", "file"})));
  }
  verify(lengths, name);
  return lengths;
}

double mean_length(const Lengths& lengths) {
  switch (lengths.kind) {
    case Lengths::Kind::Uniform:
      return static_cast<double>(lengths.low + lengths.high) / 2;
    case Lengths::Kind::LogNormal:
      return lengths.mean;
    case Lengths::Kind::Empirical:
      return std::accumulate(lengths.values.begin(), lengths.values.end(), 0.0) /
             static_cast<double>(lengths.values.size());
  }
  std::abort();
}

}  // namespace tinderbox

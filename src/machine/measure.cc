#include "machine/measure.h"

#include <array>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

struct MeasureInfo {
  Measure measure;
  std::string_view name, example;
  double low, high;  // what is physically possible; in base units
};

constexpr double kHuge = 1e21;
constexpr double kTiny = 1e-12;

constexpr std::array kMeasures = {
    MeasureInfo{Measure::Count, "count", "48", 0, 1e15},
    MeasureInfo{Measure::Share, "share", "0.82 or \"82 %\"", 0, 1e6},
    MeasureInfo{Measure::Time, "time", "\"5 us\"", 0, 1e10},
    MeasureInfo{Measure::Frequency, "frequency", "\"2450 MHz\"", kTiny, 1e15},
    MeasureInfo{Measure::Size, "size", "\"24 MiB\"", kTiny, kHuge},
    MeasureInfo{Measure::Bandwidth, "bandwidth", "\"273 GB/s\"", kTiny, kHuge},
    MeasureInfo{Measure::Compute, "compute rate", "\"95 TFLOP/s\"", kTiny, 1e24},
    MeasureInfo{Measure::Power, "power", "\"140 W\"", 0, 1e12},
    MeasureInfo{Measure::Energy, "energy", "\"3 J\"", 0, 1e15},
    MeasureInfo{Measure::Temperature, "temperature", "\"89 °C\"", -273.15, 1e5},
    MeasureInfo{Measure::TemperatureDifference, "temperature difference", "\"10.6 K\"", -1e5, 1e5},
    MeasureInfo{Measure::ThermalResistance, "thermal resistance", "\"0.34 K/W\"", 0, 1e6},
    MeasureInfo{Measure::HeatCapacity, "heat capacity", "\"90 J/K\"", kTiny, 1e9},
    MeasureInfo{Measure::Flow, "flow", "\"6 L/s\"", kTiny, 1e3},
    MeasureInfo{Measure::Length, "length", "\"150 mm\"", 0, 1e7},
    MeasureInfo{Measure::Mass, "mass", "\"1.2 kg\"", 0, 1e9},
    MeasureInfo{Measure::Price, "price", "\"4699 USD\"", 0, 1e12},
    MeasureInfo{Measure::FlopsPerClock, "rate per clock", "\"1024 FLOP/clk\"", 0, 1e12},
    MeasureInfo{Measure::BytesPerClock, "width per clock", "\"64 B/clk\"", 0, 1e12},
    MeasureInfo{Measure::FlopsPerJoule, "efficiency", "\"4.36 GFLOP/J\"", 0, kHuge},
    MeasureInfo{Measure::TransferRate, "transfer rate", "\"8533 MT/s\"", kTiny, kHuge},
    MeasureInfo{Measure::PacketRate, "packet rate", "\"20 Mp/s\"", 0, kHuge},
    MeasureInfo{Measure::TokenRate, "token rate", "\"36 tok/s\"", 0, kHuge},
};

const MeasureInfo& info(Measure measure) { return kMeasures[static_cast<std::size_t>(measure)]; }

constexpr bool in_order() {
  for (std::size_t i = 0; i < kMeasures.size(); ++i) {
    if (static_cast<std::size_t>(kMeasures[i].measure) != i) return false;
  }
  return true;
}
static_assert(in_order());

struct UnitFactor {
  Measure measure;
  std::string_view unit;
  double factor;
};

// Units that base/text.h does not know, because only data files use them.
constexpr std::array kUnits = {
    UnitFactor{Measure::Share, "%", 0.01},
    UnitFactor{Measure::TemperatureDifference, "K", 1},
    UnitFactor{Measure::ThermalResistance, "K/W", 1},
    UnitFactor{Measure::HeatCapacity, "J/K", 1},
    UnitFactor{Measure::Flow, "L/s", 1e-3},
    UnitFactor{Measure::Flow, "m3/s", 1},
    UnitFactor{Measure::Length, "mm", 1e-3},
    UnitFactor{Measure::Length, "cm", 1e-2},
    UnitFactor{Measure::Length, "m", 1},
    UnitFactor{Measure::Mass, "kg", 1},
    UnitFactor{Measure::Mass, "g", 1e-3},
    UnitFactor{Measure::Price, "USD", 1},
    UnitFactor{Measure::FlopsPerClock, "FLOP/clk", 1},
    UnitFactor{Measure::BytesPerClock, "B/clk", 1},
    UnitFactor{Measure::FlopsPerJoule, "GFLOP/J", 1e9},
    UnitFactor{Measure::TransferRate, "MT/s", 1e6},
    UnitFactor{Measure::PacketRate, "Mp/s", 1e6},
    UnitFactor{Measure::TokenRate, "tok/s", 1},
};

double parse_listed(Measure measure, std::string_view text, std::string_view where) {
  const UnitText parts = split_unit(text, where);
  std::string known;
  for (const UnitFactor& unit : kUnits) {
    if (unit.measure != measure) continue;
    if (unit.unit == parts.unit) return parts.number * unit.factor;
    known += format("{}{}", known.empty() ? "" : ", ", unit.unit);
  }
  throw_invalid(
      format("{}: expected a {} in {}; got '{}'", where, measure_name(measure), known, text));
}

bool ends_with_word(std::string_view text, std::string_view word) {
  return text.ends_with(word) &&
         (text.size() == word.size() || text[text.size() - word.size() - 1] == '_');
}

constexpr Noun kCounted = {"n", Measure::Count};

}  // namespace

std::string_view measure_name(Measure measure) { return info(measure).name; }
std::string_view measure_example(Measure measure) { return info(measure).example; }

double parse_measure(Measure measure, std::string_view text, std::string_view where) {
  switch (measure) {
    case Measure::Count:
      throw_invalid(format("{}: expected a plain whole number such as {}; got \"{}\"", where,
                           measure_example(measure), text));
    case Measure::Time:
      return parse_seconds(text, where).value();
    case Measure::Frequency:
      return parse_hertz(text, where).value();
    case Measure::Size:
      return parse_bytes(text, where).value();
    case Measure::Bandwidth:
      return parse_bytes_per_second(text, where).value();
    case Measure::Compute:
      return parse_flops_per_second(text, where).value();
    case Measure::Power:
      return parse_watts(text, where).value();
    case Measure::Energy:
      return parse_joules(text, where).value();
    case Measure::Temperature:
      return parse_celsius(text, where).degrees();
    case Measure::Share:
    case Measure::TemperatureDifference:
    case Measure::ThermalResistance:
    case Measure::HeatCapacity:
    case Measure::Flow:
    case Measure::Length:
    case Measure::Mass:
    case Measure::Price:
    case Measure::FlopsPerClock:
    case Measure::BytesPerClock:
    case Measure::FlopsPerJoule:
    case Measure::TransferRate:
    case Measure::PacketRate:
    case Measure::TokenRate:
      return parse_listed(measure, text, where);
  }
  std::abort();
}

void check_plausible(Measure measure, double value, std::string_view where) {
  const MeasureInfo& m = info(measure);
  if (std::isfinite(value) && value >= m.low && value <= m.high) return;
  throw_invalid(format("{}: expected a possible {} such as {}; got {} in base units", where, m.name,
                       m.example, value));
}

const Noun* find_noun(std::span<const std::string> path, std::span<const Noun> nouns) {
  for (std::size_t i = path.size(); i-- > 0;) {
    if (path[i].starts_with("n_")) return &kCounted;
    const Noun* best = nullptr;
    for (const Noun& noun : nouns) {
      if (!ends_with_word(path[i], noun.word)) continue;
      if (best == nullptr || noun.word.size() > best->word.size()) best = &noun;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

}  // namespace tinderbox

// What a number of a data file measures, and the units it may be written in. The last word of a key
// says which
// ("read_bandwidth" is a bandwidth), so that every number has a known dimension, also those no
// field reads yet.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tinderbox {

enum class Measure : std::uint8_t {
  Count,  // a plain whole number
  Share,  // a plain ratio, or a percentage as text ("48 %")
  Time,
  Frequency,
  Size,
  Bandwidth,
  Compute,
  Power,
  Energy,
  Temperature,
  TemperatureDifference,
  ThermalResistance,
  HeatCapacity,
  Flow,  // of air
  Length,
  Mass,
  Price,
  FlopsPerClock,
  BytesPerClock,
  FlopsPerJoule,
  TransferRate,
  PacketRate,
  TokenRate,
};

// A word that ends a key, and what the key then measures.
struct Noun {
  std::string_view word;
  Measure measure;
};

std::string_view measure_name(Measure measure);     // "bandwidth"
std::string_view measure_example(Measure measure);  // "\"273 GB/s\""

// The number in base units (s, Hz, B, B/s, FLOP/s, W, J, °C, K, K/W, m, kg, USD, ...). Throws
// Error::Invalid naming `where` if the unit is missing or belongs to another measure.
double parse_measure(Measure measure, std::string_view text, std::string_view where);

// Throws Error::Invalid naming `where` unless the value is physically possible (no negative
// bandwidth, nothing below absolute zero) and small enough that arithmetic on it stays finite.
void check_plausible(Measure measure, double value, std::string_view where);

// The noun that the path's last matching segment ends with, looked up from the leaf upwards;
// "n_..." segments are counts. nullptr if there is none.
const Noun* find_noun(std::span<const std::string> path, std::span<const Noun> nouns);

}  // namespace tinderbox

#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "base/error.h"

namespace tinderbox {

namespace {

struct UnitName {
  std::string_view name;
  double factor;
};

double parse_unit(std::string_view text, std::string_view where, std::string_view dimension,
                  std::span<const UnitName> units) {
  const UnitText parts = split_unit(text, where);
  std::string known;
  for (const UnitName& unit : units) {
    if (unit.name == parts.unit) return parts.number * unit.factor;
    known += known.empty() ? "" : ", ";
    known += unit.name;
  }
  throw_invalid(format("{}: expected a {} in one of {}; got '{}'", where, dimension, known, text));
}

constexpr std::array kTimeUnits = {UnitName{"s", 1},    UnitName{"ms", 1e-3}, UnitName{"us", 1e-6},
                                   UnitName{"µs", 1e-6}, UnitName{"ns", 1e-9}, UnitName{"min", 60},
                                   UnitName{"h", 3600}};
constexpr std::array kFrequencyUnits = {UnitName{"Hz", 1}, UnitName{"kHz", 1e3}, UnitName{"MHz", 1e6},
                                        UnitName{"GHz", 1e9}};
constexpr std::array kByteUnits = {UnitName{"B", 1},     UnitName{"kB", 1e3},   UnitName{"MB", 1e6},
                                   UnitName{"GB", 1e9},  UnitName{"TB", 1e12},  UnitName{"KiB", kKiB},
                                   UnitName{"MiB", kMiB}, UnitName{"GiB", kGiB}, UnitName{"TiB", 1024 * kGiB}};
constexpr std::array kBandwidthUnits = {
    UnitName{"B/s", 1},          UnitName{"kB/s", 1e3},       UnitName{"MB/s", 1e6},
    UnitName{"GB/s", 1e9},       UnitName{"TB/s", 1e12},      UnitName{"MiB/s", kMiB},
    UnitName{"GiB/s", kGiB},     UnitName{"Mb/s", 1e6 / 8},   UnitName{"Gb/s", 1e9 / 8}};
constexpr std::array kFlopUnits = {UnitName{"FLOP/s", 1},     UnitName{"MFLOP/s", 1e6},
                                   UnitName{"GFLOP/s", 1e9},  UnitName{"TFLOP/s", 1e12},
                                   UnitName{"PFLOP/s", 1e15}};
constexpr std::array kPowerUnits = {UnitName{"W", 1}, UnitName{"mW", 1e-3}, UnitName{"kW", 1e3}};
constexpr std::array kEnergyUnits = {UnitName{"J", 1},     UnitName{"kJ", 1e3},  UnitName{"mJ", 1e-3},
                                     UnitName{"uJ", 1e-6}, UnitName{"nJ", 1e-9}, UnitName{"pJ", 1e-12},
                                     UnitName{"Wh", 3600}, UnitName{"kWh", 3.6e6}};
constexpr std::array kCelsiusUnits = {UnitName{"C", 1}, UnitName{"°C", 1}};

// value divided by 1000 until it fits, with the prefix that says so.
std::string with_prefix(double value, std::string_view unit) {
  static constexpr std::array<std::string_view, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t i = 0;
  while (std::abs(value) >= 999.5 && i + 1 < kPrefixes.size()) {
    value /= 1000;
    ++i;
  }
  return format("{} {}{}", human_number(value, 3), kPrefixes[i], unit);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

// Columns of a table count characters, not bytes.
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Length of the UTF-8 sequence that a lead byte announces; 0 for a byte that cannot lead.
std::size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

// Whether `next` may be the second byte after `lead` (excludes overlong forms, surrogates, > U+10FFFF).
bool second_byte_ok(unsigned char lead, unsigned char next) {
  switch (lead) {
    case 0xE0: return next >= 0xA0 && next <= 0xBF;
    case 0xED: return next >= 0x80 && next <= 0x9F;
    case 0xF0: return next >= 0x90 && next <= 0xBF;
    case 0xF4: return next >= 0x80 && next <= 0x8F;
    default: return (next & 0xC0) == 0x80;
  }
}

// Bytes of the well-formed or still-open sequence at `at`; complete tells which. 0: ill-formed.
std::size_t well_formed(std::string_view bytes, std::size_t at, bool& complete) {
  const auto lead = static_cast<unsigned char>(bytes[at]);
  const std::size_t length = sequence_length(lead);
  complete = true;
  if (length <= 1) return length;
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i >= bytes.size()) {
      complete = false;
      return i;
    }
    const auto next = static_cast<unsigned char>(bytes[at + i]);
    if (i == 1 ? !second_byte_ok(lead, next) : (next & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

std::optional<std::int64_t> parse_int(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

UnitText split_unit(std::string_view text, std::string_view where) {
  const std::string_view all = trim(text);
  double number = 0;
  const auto [end, ec] = std::from_chars(all.data(), all.data() + all.size(), number);
  if (ec != std::errc() || !std::isfinite(number)) {
    throw_invalid(format("{}: expected \"<number> <unit>\", got \"{}\"", where, text));
  }
  const std::string_view unit = trim(all.substr(static_cast<std::size_t>(end - all.data())));
  if (unit.empty()) {
    throw_invalid(format("{}: expected \"<number> <unit>\", got \"{}\": the unit is missing", where, text));
  }
  return {number, std::string(unit)};
}

Seconds parse_seconds(std::string_view text, std::string_view where) {
  return Seconds(parse_unit(text, where, "time", kTimeUnits));
}
Hertz parse_hertz(std::string_view text, std::string_view where) {
  return Hertz(parse_unit(text, where, "frequency", kFrequencyUnits));
}
Bytes parse_bytes(std::string_view text, std::string_view where) {
  return Bytes(parse_unit(text, where, "size", kByteUnits));
}
BytesPerSecond parse_bytes_per_second(std::string_view text, std::string_view where) {
  return BytesPerSecond(parse_unit(text, where, "bandwidth", kBandwidthUnits));
}
FlopsPerSecond parse_flops_per_second(std::string_view text, std::string_view where) {
  return FlopsPerSecond(parse_unit(text, where, "compute rate", kFlopUnits));
}
Watts parse_watts(std::string_view text, std::string_view where) {
  return Watts(parse_unit(text, where, "power", kPowerUnits));
}
Joules parse_joules(std::string_view text, std::string_view where) {
  return Joules(parse_unit(text, where, "energy", kEnergyUnits));
}
Celsius parse_celsius(std::string_view text, std::string_view where) {
  return Celsius(parse_unit(text, where, "temperature", kCelsiusUnits));
}

std::string human(Bytes bytes) { return with_prefix(bytes.value(), "B"); }
std::string human(BytesPerSecond rate) { return with_prefix(rate.value(), "B/s"); }
std::string human(FlopsPerSecond rate) { return with_prefix(rate.value(), "FLOP/s"); }

std::string human(Seconds seconds) {
  const double s = seconds.value();
  const double size = std::abs(s);
  if (size == 0) return "0 s";
  if (size < 1e-6) return human_number(s * 1e9, 3) + " ns";
  if (size < 1e-3) return human_number(s * 1e6, 3) + " µs";
  if (size < 1) return human_number(s * 1e3, 3) + " ms";
  if (size < 600) return human_number(s, 3) + " s";
  if (size < 36000) return human_number(s / 60, 3) + " min";
  return human_number(s / 3600, 3) + " h";
}

std::string human_number(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  if (value == 0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  const int decimals = std::clamp(digits - magnitude, 0, 12);
  return format("{:.{}f}", value, decimals);
}

Table::Table(std::vector<std::string> header, std::string alignment) : alignment_(std::move(alignment)) {
  alignment_.resize(header.size(), 'r');
  if (!alignment_.empty() && alignment_[0] == 'r' && alignment_ == std::string(header.size(), 'r')) {
    alignment_[0] = 'l';
  }
  rows_.push_back(std::move(header));
}

void Table::add(std::vector<std::string> row) {
  row.resize(rows_[0].size());
  rows_.push_back(std::move(row));
}

std::string Table::str() const {
  std::vector<std::size_t> width(rows_[0].size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], display_width(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(width[i] - display_width(row[i]), ' ');
      line += i == 0 ? "" : "  ";
      line += alignment_[i] == 'l' ? row[i] + pad : pad + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (;;) {
    const std::size_t at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates) {
  // A guess helps only if most of the word is right; very long words are no typing errors.
  if (word.size() > 200) return {};
  const std::string needle = lower(word);
  std::vector<std::pair<std::size_t, std::string>> scored;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(needle, lower(candidate));
    const bool contains = !needle.empty() && lower(candidate).find(needle) != std::string::npos;
    if (contains || distance <= std::max<std::size_t>(1, needle.size() / 3)) {
      scored.emplace_back(distance, candidate);
    }
  }
  std::ranges::sort(scored);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, scored.size()); ++i) out.push_back(scored[i].second);
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  std::string out;
  for (const std::string& name : nearest(word, candidates)) {
    out += out.empty() ? " (did you mean '" : " or '";
    out += name + "'";
  }
  return out.empty() ? out : out + "?)";
}

std::size_t complete_utf8_prefix(std::string_view bytes) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, bytes.size()); ++back) {
    const std::size_t at = bytes.size() - back;
    if ((static_cast<unsigned char>(bytes[at]) & 0xC0) == 0x80) continue;
    bool complete = true;
    return well_formed(bytes, at, complete) > 0 && !complete ? at : bytes.size();
  }
  return bytes.size();
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    bool complete = true;
    const std::size_t length = well_formed(bytes, at, complete);
    if (length > 0 && complete) {
      out.append(bytes, at, length);
      at += length;
    } else {
      // One U+FFFD for the longest start of a sequence, so that the result is the same wherever the text is cut.
      std::size_t n = std::max<std::size_t>(1, length);
      while (length == 0 && at + n < bytes.size() && well_formed(bytes.substr(at, n + 1), 0, complete) > 0) ++n;
      out += "\xEF\xBF\xBD";
      at += n;
    }
  }
  return out;
}

}  // namespace tinderbox

#include "cli/smi.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "cli/screen_row.h"

namespace tinderbox::cli {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

struct Field {
  std::string value;  // empty: not available
  const char* unit = "";
};

std::string rounded(double value, int digits = 0) {
  return std::isfinite(value) ? format("{:.{}f}", value, digits) : std::string();
}

double used(const BoxState::Memory& m) {
  double sum = 0;
  for (const double part : {m.weights_bytes, m.kv_bytes, m.runtime_bytes}) sum += std::isnan(part) ? 0 : part;
  return sum;
}

std::vector<std::pair<std::string, Field>> fields_of(const BoxState& state, const SmiFacts& facts) {
  const BoxState::Sensors s = state.sensors.value_or(BoxState::Sensors{});
  const BoxState::Memory m = state.memory.value_or(BoxState::Memory{});
  const double taken = state.memory ? used(m) : kNotKnown;
  const Field clock = {rounded(s.sm_clock_hz * 1e-6), "MHz"};
  return {{"timestamp", {facts.timestamp}},
          {"driver_version", {facts.driver}},
          {"count", {"1"}},
          {"index", {"0"}},
          {"name", {facts.name}},
          {"gpu_name", {facts.name}},
          {"uuid", {facts.uuid}},
          {"gpu_uuid", {facts.uuid}},
          {"pci.bus_id", {facts.bus}},
          {"gpu_bus_id", {facts.bus}},
          {"temperature.gpu", {rounded(s.gpu_c)}},
          {"utilization.gpu", {rounded(100 * s.gpu_utilisation), "%"}},
          {"power.draw", {rounded(s.gpu_w_shown, 2), "W"}},
          {"power.draw.instant", {rounded(s.gpu_w_shown, 2), "W"}},
          {"clocks.sm", clock},
          {"clocks.current.sm", clock},
          {"clocks.gr", clock},
          {"clocks.current.graphics", clock},
          {"memory.total", {rounded(m.total_bytes / kMib), "MiB"}},
          {"memory.used", {rounded(taken / kMib), "MiB"}},
          {"memory.free", {rounded((m.total_bytes - taken) / kMib), "MiB"}},
          {"fan.speed", {{}, "%"}},
          {"power.limit", {{}, "W"}},
          {"clocks.mem", {{}, "MHz"}},
          {"clocks.current.memory", {{}, "MHz"}},
          {"clocks.max.sm", {{}, "MHz"}},
          {"temperature.memory", {}},
          {"temperature.gpu.tlimit", {}},
          {"ecc.mode.current", {}},
          {"utilization.memory", {{}, "%"}}};
}

// Of the first line of one of DCGM's families: what stands in quotes behind NAME=.
std::string label(std::string_view line, std::string_view name) {
  const std::string mark = format("{}=\"", name);
  const std::size_t at = line.find(mark);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + mark.size());
  return printable(rest.substr(0, rest.find('"')));
}

}  // namespace

SmiFacts smi_facts(const std::string& metrics) {
  const std::size_t at = metrics.find("\nDCGM_FI_");
  if (at == std::string::npos) return {};
  const std::string_view line = std::string_view(metrics).substr(at + 1, metrics.find('\n', at + 1) - at - 1);
  return {.name = label(line, "modelName"), .uuid = label(line, "UUID"), .bus = label(line, "pci_bus_id"),
          .driver = label(line, "DCGM_FI_DRIVER_VERSION"), .timestamp = {}};
}

SmiFormat parse_smi_format(const std::string& text) {
  SmiFormat format_;
  bool csv = false;
  for (const std::string& part : split(text, ',')) {
    const std::string_view word = trim(part);
    if (word == "csv") {
      csv = true;
    } else if (word == "noheader") {
      format_.header = false;
    } else if (word == "nounits") {
      format_.units = false;
    } else {
      throw_invalid(format("--format: '{}' is none of csv, noheader, nounits", to_valid_utf8(word)));
    }
  }
  if (!csv) throw_invalid("--format: give csv, with noheader and nounits after commas");
  return format_;
}

std::string smi_csv(const BoxState& state, const SmiFacts& facts, const std::string& query, const SmiFormat& form) {
  const auto known = fields_of(state, facts);
  std::vector<std::string> names;
  for (const auto& [name, field] : known) names.push_back(name);
  std::string header, row;
  for (const std::string& part : split(query, ',')) {
    const std::string name(trim(part));
    const auto it = std::ranges::find(names, name);
    if (it == names.end()) {
      throw_invalid(format("--query-gpu: '{}' is no field{}", to_valid_utf8(name), did_you_mean(name, names)));
    }
    const Field& field = known[static_cast<std::size_t>(it - names.begin())].second;
    const bool unit = form.units && *field.unit != '\0';
    const bool hidden = state.sensors && std::ranges::find(state.sensors->not_available, name) !=
                                             state.sensors->not_available.end();
    header += (header.empty() ? "" : ", ") + name + (unit ? format(" [{}]", field.unit) : "");
    if (!row.empty()) row += ", ";
    row += hidden || field.value.empty() ? "[N/A]" : field.value + (unit ? std::string(" ") + field.unit : "");
  }
  return (form.header ? header + "\n" : "") + row + "\n";
}

}  // namespace tinderbox::cli

#include <ctime>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/smi.h"

namespace tinderbox::cli {
namespace {

// As nvidia-smi writes it, of the box's clock: 2026/11/27 18:05:07.250.
std::string timestamp(double unix_s) {
  if (!(unix_s >= 0 && unix_s < 1e11)) return {};
  const auto whole = static_cast<std::time_t>(unix_s);
  std::tm t{};
  if (localtime_r(&whole, &t) == nullptr) return {};
  return format("{:04}/{:02}/{:02} {:02}:{:02}:{:02}.{:03}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                t.tm_min, t.tm_sec, static_cast<int>((unix_s - static_cast<double>(whole)) * 1000));
}

SmiFacts facts_of(const BoxState& state, const std::string& metrics) {
  SmiFacts facts = smi_facts(metrics);
  if (facts.name.empty()) facts.name = state.machine_name.empty() ? "this computer" : state.machine_name;
  facts.timestamp = timestamp(state.at_unix);
  return facts;
}

}  // namespace

int cmd_smi(const SmiOptions& options) {
  const SmiFormat form = parse_smi_format(options.format);
  const BoxState state = parse_box_state(box_text(options.box, "box/state"));
  const SmiFacts facts = facts_of(state, box_text(options.box, "metrics"));
  if (options.list) {
    print(format("GPU 0: {} (UUID: {})\n", facts.name, facts.uuid.empty() ? "[N/A]" : facts.uuid));
    return 0;
  }
  print(smi_csv(state, facts, options.query, form));
  return 0;
}

}  // namespace tinderbox::cli

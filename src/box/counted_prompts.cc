#include "box/counted_prompts.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tinderbox {
namespace {

constexpr double kAgreesWithItself = 0.95;
constexpr std::size_t kPairs = 3;  // a single one may be a slip

// What a time and a rate must share to be of one prompt.
std::string prompt_key(const Cells& cells) {
  std::string key;
  for (const char* column : {"source", "machine", "nodes", "stack", "stack_version", "model", "weights", "kv",
                             "prompt_tokens", "depth", "kernel_path", "spec"}) {
    key += cells.text(column) + '|';
  }
  return key;
}

struct Time {
  std::size_t index = 0;
  double time = 0, prompt = 0;  // s, tokens
  std::string key;
};

}  // namespace

std::map<std::size_t, double> prompt_shares(const Csv& csv) {
  std::map<std::string, double> rates;
  std::vector<Time> times;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const Cells cells(csv, i);
    if (cells.problem()) continue;
    const auto value = cells.number("value"), prompt = cells.number("prompt_tokens");
    if (!value || !prompt || *prompt <= 0 || cells.number("concurrency") != 1.0) continue;
    const std::string metric = cells.text("metric");
    if (cells.text("test") == "prefill" && metric == "tok_per_s") rates[prompt_key(cells)] = *value;
    if (metric == "ttft_ms") times.push_back({i, *value / 1e3, *prompt, prompt_key(cells)});
  }
  std::map<std::size_t, double> shares;
  for (const Time& time : times) {
    const auto rate = rates.find(time.key);
    if (rate != rates.end()) shares[time.index] = time.time * rate->second / time.prompt;
  }
  return shares;
}

std::map<std::string, double> counted_prompts(const Csv& csv) {
  std::map<std::string, std::vector<double>> of_source;
  for (const auto& [index, share] : prompt_shares(csv)) of_source[csv.at(index, "source")].push_back(share);
  std::map<std::string, double> counted;
  for (const auto& [source, shares] : of_source) {
    const double least = std::ranges::min(shares);
    if (shares.size() >= kPairs && least > 0 && least < kAgreesWithItself) counted[source] = least;
  }
  return counted;
}

void count_prompt(const Cells& cells, double share, Measured& measured) {
  const std::int64_t stated = cells.count("prompt_tokens").value_or(0);
  if (measured.open_loop || stated <= 0) return;
  const std::int64_t counted = std::max<std::int64_t>(std::llround(static_cast<double>(stated) * share), 1);
  Point& point = measured.point;
  if (point.prompt == stated) {
    point.prompt = counted;
  } else if (point.prompt == 0 && point.depth >= stated) {
    point.depth += counted - stated;  // of decode, which begins after it
  }
}

}  // namespace tinderbox

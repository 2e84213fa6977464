#include "box/contradictions.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/quantile.h"
#include "base/text.h"
#include "box/markdown.h"
#include "box/measurement.h"

namespace tinderbox {
namespace {

// What a time and a rate must share to be of one prompt.
std::string prompt_key(const PublishedRow& row, const Cells& cells) {
  std::string key = row.source;
  for (const char* column : {"machine", "nodes", "stack", "stack_version", "model", "weights", "kv", "prompt_tokens",
                             "depth", "kernel_path", "spec"}) {
    key += '|' + cells.text(column);
  }
  return key;
}

struct Time {
  const PublishedRow* row = nullptr;
  double prompt = 0;
  std::string key;
};

std::string what_of(const PublishedRow& row) {
  return format("{} {} by {} on {}", row.model, row.weights, row.stack, row.machine);
}

}  // namespace

std::vector<Contradiction> contradictions(const Validation& validation) {
  std::map<std::string, double> rates;
  std::vector<Time> times;
  for (const PublishedRow& row : validation.rows) {
    const Cells cells(validation.files[row.file].rows, row.index);
    if (cells.problem()) continue;
    const auto prompt = cells.number("prompt_tokens"), streams = cells.number("concurrency");
    if (!prompt || *prompt <= 0 || streams != 1.0) continue;
    const std::string key = prompt_key(row, cells);
    if (row.test == "prefill" && row.metric == "tok_per_s") rates[key] = row.measured;
    if (row.metric == "ttft_ms") times.push_back({&row, *prompt, key});
  }
  std::map<std::string, std::vector<std::pair<double, const PublishedRow*>>> shares;  // by group
  for (const Time& time : times) {
    const auto rate = rates.find(time.key);
    if (rate == rates.end()) continue;
    shares[time.row->group].emplace_back(time.row->measured / 1e3 * rate->second / time.prompt, time.row);
  }
  std::vector<Contradiction> out;
  for (const auto& [group, pairs] : shares) {
    std::vector<double> all;
    for (const auto& [share, row] : pairs) all.push_back(share);
    if (quantile(all, 0.5) > kAgrees) continue;
    const auto [low, high] = std::ranges::minmax(all);
    const PublishedRow& row = *pairs.front().second;
    out.push_back({.group = group, .what = what_of(row), .source = row.source, .n = std::ssize(all), .low = low,
                   .high = high});
  }
  return out;
}

std::string contradictions_section(const Validation& validation) {
  const std::vector<Contradiction> found = contradictions(validation);
  if (found.empty()) return "";
  std::string out =
      "## Rows that contradict one another\n\n"
      "A prompt is not in before it has been read: the time to its first token times the rate at which the same source "
      "says it was read is at least the prompt. Where it is less, the prompt was shorter than its row says, or part of "
      "it was in a cache. The rows count in all figures of this document.\n\n";
  out += markdown_header({"time to first token", "pairs", "of the prompt was read"}, 1);
  std::set<std::string> groups;
  for (const Contradiction& c : found) {
    groups.insert(c.group);
    out += markdown_row({format("{} ({})", markdown_text(c.what), markdown_link("source", c.source)),
                         format("{}", c.n), format("{:.0f} to {:.0f} %", 100 * c.low, 100 * c.high)});
  }
  const RowList others = where(validation.rows, [&](const PublishedRow& row) {
    return row.kind == RowKind::Ttft && !row.speculation && row.file == 0 && !groups.contains(row.group);
  });
  out += "\nMedian error of the time to first token without them: ";
  for (const FitOf fit : kFits) {
    const char* name = fit == FitOf::AllRows ? "in sample" : fit == FitOf::WithoutModel ? ", model left out"
                                                                                          : ", source left out";
    const Score s = score(others, fit);
    out += format("{} {}", name, s.groups == 0 ? "-" : format("{:.1f} %", 100 * s.median_ape));
  }
  return out + ".\n\n";
}

}  // namespace tinderbox

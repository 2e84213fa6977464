#include "box/contradictions.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/quantile.h"
#include "base/text.h"
#include "box/counted_prompts.h"
#include "box/markdown.h"

namespace tinderbox {
namespace {

// Sources whose prompts calibration shortens.
std::string counted_section(const Validation& validation) {
  std::map<std::string, double> counted;
  for (const auto& file : validation.files) {
    if (file.fitted) counted.merge(counted_prompts(file.rows));
  }
  if (counted.empty()) return "";
  std::string out =
      "Of these sources the least such share is what calibration takes the prompts to have had (latencies only add to "
      "it); all figures here are of the prompts that they state:\n\n";
  for (const auto& [source, share] : counted) {
    out += format("- {:.1f} %: {}\n", 100 * share, markdown_link(source, source));
  }
  return out + "\n";
}

std::string what_of(const PublishedRow& row) {
  return format("{} {} by {} on {}", row.model, row.weights, row.stack, row.machine);
}

}  // namespace

std::vector<Contradiction> contradictions(const Validation& validation) {
  std::vector<std::map<std::size_t, double>> of_files;
  for (const auto& file : validation.files) of_files.push_back(prompt_shares(file.rows));
  std::map<std::string, std::vector<std::pair<double, const PublishedRow*>>> shares;  // by group
  for (const PublishedRow& row : validation.rows) {
    const auto share = of_files[row.file].find(row.index);
    if (share != of_files[row.file].end()) shares[row.group].emplace_back(share->second, &row);
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
  return out + ".\n\n" + counted_section(validation);
}

}  // namespace tinderbox

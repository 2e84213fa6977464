#include "box/validation_targets.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "box/markdown.h"

namespace tinderbox {
namespace {

constexpr std::size_t kWorst = 10, kMissedShown = 24;

// ARCHITECTURE.md section 6: measurements that the fit has not seen must meet them.
struct Target {
  std::string_view what;
  RowKind kind;
  double Score::*figure;
  double most;
};
constexpr Target kTargets[] = {
    {"decode, median", RowKind::Decode, &Score::median_ape, 0.06},
    {"decode, 90th percentile", RowKind::Decode, &Score::p90_ape, 0.20},
    {"prefill, median", RowKind::Prefill, &Score::median_ape, 0.10},
    {"prefill, 90th percentile", RowKind::Prefill, &Score::p90_ape, 0.30},
    {"time to first token, median", RowKind::Ttft, &Score::median_ape, 0.15},
    {"time per token with several streams, median", RowKind::Tpot, &Score::median_ape, 0.08},
    {"memory, median", RowKind::Memory, &Score::median_ape, 0.03},
};
constexpr double kCoverageLeast = 0.95, kIntervalLeast = 0.88, kIntervalMost = 0.93;

std::string met(bool all) { return all ? "yes" : "**no**"; }

std::string target_row(const Target& target, const RowList& rows) {
  std::vector<std::string> cells = {std::string(target.what), format("<= {:g} %", 100 * target.most)};
  std::vector<std::string> is_met;
  for (const FitOf fit : kFits) {
    const Score s = score(rows, fit);
    if (fit == FitOf::AllRows) cells.push_back(format("{}", s.groups));
    cells.push_back(figure_cell(s, s.*target.figure));
    if (fit != FitOf::AllRows) is_met.push_back(s.groups == 0 ? "-" : met(s.*target.figure <= target.most));
  }
  cells.insert(cells.end(), is_met.begin(), is_met.end());
  return markdown_row(cells);
}

std::string interval_row(const RowList& rows) {
  std::vector<std::string> cells = {"rows in their 90 % interval", "88 to 93 %"};
  std::vector<std::string> is_met;
  for (const FitOf fit : kFits) {
    const Score s = score(rows, fit);
    if (fit == FitOf::AllRows) cells.push_back(format("{}", s.groups));
    cells.push_back(interval_cell(s));
    const double share = s.interval_coverage;
    if (fit == FitOf::AllRows) continue;
    is_met.push_back(s.intervals == 0 ? "-" : met(share >= kIntervalLeast && share <= kIntervalMost));
  }
  cells.insert(cells.end(), is_met.begin(), is_met.end());
  return markdown_row(cells);
}

std::string coverage_row(const std::string& what, const RowList& rows) {
  const double share = rows.empty() ? 0
                                    : static_cast<double>(count_predicted(rows)) /
                                          static_cast<double>(rows.size());
  return markdown_row({format("coverage, {}", what), ">= 95 %", rows_cell(rows) + " rows",
                       coverage_cell(rows), "", "",
                       rows.empty() ? "-" : met(share >= kCoverageLeast), ""});
}

// One group of a list: what it is, its row in the middle, why.
std::string entry(std::size_t place, const BadGroup& group, FitOf fit, const Validation& v,
                  const TwinCatalogues& catalogues, const std::vector<Diagnosis>& diagnoses) {
  const PublishedRow& row = *group.row;
  const Sample sample = row.sample(fit);
  const auto diagnosis = [&] {
    if (const Diagnosis* written = find_diagnosis(diagnoses, row.group)) return written->text;
    return neutral_diagnosis(row, v.files[row.file].rows, catalogues,
                             where(v.rows, [](const PublishedRow&) { return true; }), fit);
  };
  std::string out = format("{}. **{}** {} {}{}, {} {} by {} on {} ({}, {} row{}).\n", place, percent(group.error),
                           markdown_text(row.test), markdown_text(row.metric),
                           row.speculation ? " with speculation" : "", markdown_text(row.model),
                           markdown_text(row.weights), markdown_text(row.stack), markdown_text(row.machine),
                           markdown_link("source", row.source), group.n_rows, group.n_rows == 1 ? "" : "s");
  out += format("   {} ({}): measured {}, predicted {} {}.\n", markdown_text(row.id), markdown_text(row.load),
                human_number(sample.measured), human_number(sample.predicted), markdown_text(row.unit));
  return out + format("   *{}*\n", markdown_text(diagnosis()));
}

// What targets of a kind are about: the first file, or of memory all.
RowList rows_of_targets(RowKind kind, const Validation& v) {
  const bool everywhere = kind == RowKind::Memory;
  return where(v.rows, [&](const PublishedRow& row) {
    return !row.speculation && row.kind == kind && (everywhere || row.file == 0);
  });
}

}  // namespace

std::string coverage_cell(const RowList& rows) {
  if (rows.empty()) return "-";
  return percent(static_cast<double>(count_predicted(rows)) / static_cast<double>(rows.size()));
}

std::string rows_cell(const RowList& rows) { return format("{}/{}", count_predicted(rows), rows.size()); }

std::string figure_cell(const Score& s, double value) { return s.groups == 0 ? "-" : percent(value); }

std::string interval_cell(const Score& s) { return s.intervals == 0 ? "-" : percent(s.interval_coverage); }

std::string targets_section(const Validation& v) {
  std::string out = "## Targets\n\n";
  if (v.stale) {
    out += "**The stack and machine files are not what calibration finds today: `tinderbox calibrate`, then build and "
           "validate again. In-sample figures are of the old numbers.**\n\n";
  }
  out += format(
      "Of {} (memory: of all files), without speculation. A target is met by the fits that left the row's model out; "
      "the last column says whether those that left its source out meet it too.\n\n",
      v.files.empty() ? "no file" : markdown_text(v.files.front().name));
  out += markdown_header({"what", "target", "groups", "in sample", "model left out",
                          "source left out", "met", "without the source"}, 2);
  for (const Target& target : kTargets) {
    out += target_row(target, rows_of_targets(target.kind, v));
  }
  out += interval_row(
      where(v.rows, [](const PublishedRow& row) { return !row.speculation && row.file == 0; }));
  for (const char* quality : {"A", "B"}) {
    out += coverage_row(format("quality {}, all files", quality), where(v.rows, [&](const auto& row) {
      return row.quality == quality;
    }));
  }
  out += coverage_row("all files", where(v.rows, [](const PublishedRow&) { return true; }));
  return out + "\n";
}

// Of a kind that misses several targets by its widest, so that the list says what is far off.
std::string missed_section(const Validation& v, const TwinCatalogues& catalogues,
                           const std::vector<Diagnosis>& diagnoses) {
  std::string out;
  std::map<RowKind, double> beyond;
  for (const Target& target : kTargets) {
    const Score s = score(rows_of_targets(target.kind, v), FitOf::WithoutModel);
    if (s.groups == 0 || s.*target.figure <= target.most) continue;
    beyond[target.kind] = std::max(beyond[target.kind], target.most);
  }
  for (const auto& [kind, most] : beyond) {
    const RowList rows = rows_of_targets(kind, v);
    std::vector<BadGroup> groups = worst_groups(rows, FitOf::WithoutModel, rows.size());
    std::erase_if(groups, [&, at_most = most](const BadGroup& group) { return group.error <= at_most; });
    const std::size_t n = std::min(groups.size(), kMissedShown);
    out += format("### {}: groups off by more than {:g} %\n\n{} of them{}, by the median error with the group's model "
                  "left out.\n\n",
                  row_kind_name(kind), 100 * most, groups.size(),
                  n < groups.size() ? format("; the worst {}", n) : "");
    for (std::size_t i = 0; i < n; ++i) out += entry(i + 1, groups[i], FitOf::WithoutModel, v, catalogues, diagnoses);
    out += "\n";
  }
  return out.empty() ? out : "## What keeps targets from being met\n\n" + out;
}

std::string worst_section(const Validation& v, const TwinCatalogues& catalogues,
                          const std::vector<Diagnosis>& diagnoses) {
  const RowList all = where(v.rows, [](const PublishedRow&) { return true; });
  std::string out = "## The ten worst groups\n\nBy the median error with the group's source left out.\n\n";
  const std::vector<BadGroup> groups = worst_groups(all, FitOf::WithoutSource, kWorst);
  if (groups.empty()) return out + "No group is predicted.\n\n";
  for (std::size_t i = 0; i < groups.size(); ++i) {
    out += entry(i + 1, groups[i], FitOf::WithoutSource, v, catalogues, diagnoses);
  }
  return out + "\n";
}

}  // namespace tinderbox

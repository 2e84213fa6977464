// The forms of a validation report: JSON, aligned text, CSV, markdown.
#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/validate.h"

namespace tinderbox {
namespace {

std::string percent(double fraction) { return format("{:.1f} %", 100 * fraction); }
std::string signed_percent(double fraction) { return format("{:+.1f} %", 100 * fraction); }

std::vector<std::string> slice_cells(const ValidationSlice& slice) {
  const Score& s = slice.score;
  std::vector<std::string> cells = slice.key;
  cells.insert(cells.end(), {format("{}", s.groups), format("{}/{}", s.rows, slice.rows_all),
                             percent(s.median_ape), percent(s.p90_ape), signed_percent(s.bias),
                             format("{:.0f} %", 100 * s.interval_coverage)});
  return cells;
}

std::vector<std::string> slice_header(const ValidationReport& report) {
  std::vector<std::string> header = report.by;
  header.insert(header.end(), {"groups", "rows", "median", "p90", "bias", "in interval"});
  return header;
}

std::vector<std::pair<std::string, std::int64_t>> refusals_by_count(
    const ValidationReport& report) {
  std::vector<std::pair<std::string, std::int64_t>> refused(report.refused.begin(),
                                                            report.refused.end());
  std::ranges::sort(refused, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return refused;
}

// The first of them: a file in another form would fill screens.
std::string bad_rows(const ValidationReport& report) {
  constexpr std::size_t kShown = 20;
  if (report.bad.empty()) return "";
  std::string out = "\nbad rows\n";
  for (std::size_t i = 0; i < std::min(kShown, report.bad.size()); ++i) {
    out += format("  {}\n", report.bad[i]);
  }
  if (report.bad.size() > kShown) out += format("  and {} more\n", report.bad.size() - kShown);
  return out;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + cell + " |";
  return line + "\n";
}

std::string markdown_rule(std::size_t n_left, std::size_t n) {
  std::string line = "|";
  for (std::size_t i = 0; i < n; ++i) line += i < n_left ? " --- |" : " ---: |";
  return line + "\n";
}

nlohmann::ordered_json slices_json(const ValidationReport& report,
                                   const std::vector<ValidationSlice>& slices) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const ValidationSlice& slice : slices) {
    nlohmann::ordered_json s;
    for (std::size_t i = 0; i < report.by.size(); ++i) s[report.by[i]] = slice.key[i];
    s["groups"] = slice.score.groups;
    s["rows"] = slice.score.rows;
    s["median_ape"] = slice.score.median_ape;
    s["p90_ape"] = slice.score.p90_ape;
    s["bias"] = slice.score.bias;
    s["interval_coverage"] = slice.score.interval_coverage;
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace

std::string validation_json(const ValidationReport& report) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["rows"] = report.rows.size();
  json["predicted"] = report.predicted;
  json["coverage"] = report.coverage;
  json["refused"] = Json::object();
  for (const auto& [reason, n] : report.refused) json["refused"][reason] = n;
  json["bad_rows"] = report.bad;
  json["groups"] = report.macro.groups;
  json["macro"] = {{"median_ape", report.macro.median_ape},
                   {"mean_ape", report.macro.mean_ape},
                   {"p90_ape", report.macro.p90_ape},
                   {"within_10pct", report.macro.within_10pct},
                   {"interval_coverage", report.macro.interval_coverage}};
  json["slices"] = slices_json(report, report.slices);
  json["speculation"] = {{"groups", report.speculation.groups},
                         {"rows", report.speculation.rows},
                         {"median_ape", report.speculation.median_ape},
                         {"p90_ape", report.speculation.p90_ape},
                         {"interval_coverage", report.speculation.interval_coverage},
                         {"slices", slices_json(report, report.speculation_slices)}};
  // Cells come from a file that need not be UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string validation_table(const ValidationReport& report) {
  const Score& macro = report.macro;
  std::string out = format("rows {}, predicted {}, coverage {}, groups {}\n", report.rows.size(),
                           report.predicted, percent(report.coverage), macro.groups);
  out += format("error over groups: median {}, mean {}, p90 {}; within 10 %: {}; bias {}; 90 % interval "
                "holds {} of rows\n\n",
                percent(macro.median_ape), percent(macro.mean_ape), percent(macro.p90_ape),
                percent(macro.within_10pct), signed_percent(macro.bias),
                percent(macro.interval_coverage));
  Table slices(slice_header(report), std::string(report.by.size(), 'l') + "rrrrrr");
  for (const ValidationSlice& slice : report.slices) slices.add(slice_cells(slice));
  out += slices.str();
  if (!report.speculation_slices.empty()) {
    out += format("\nwith speculation, acceptance guessed: groups {}, median {}, p90 {}, bias {}\n\n",
                  report.speculation.groups, percent(report.speculation.median_ape),
                  percent(report.speculation.p90_ape), signed_percent(report.speculation.bias));
    Table apart(slice_header(report), std::string(report.by.size(), 'l') + "rrrrrr");
    for (const ValidationSlice& slice : report.speculation_slices) apart.add(slice_cells(slice));
    out += apart.str();
  }
  if (!report.refused.empty()) {
    Table refused({"refused because of", "rows"});
    for (const auto& [reason, n] : refusals_by_count(report))
      refused.add({reason, format("{}", n)});
    out += "\n" + refused.str();
  }
  return out + bad_rows(report);
}

std::string validation_csv(const ValidationReport& report) {
  std::string out = "id,predicted,low,high,ape,reason\n";
  for (const ValidationRow& row : report.rows) {
    if (row.predicted) {
      out += format("{},{},{:.6g},{:.6g},{},\n", csv_field(row.id), *row.predicted, row.low, row.high,
                    std::abs(row.error()));
    } else {
      out += format("{},,,,,{}\n", csv_field(row.id), csv_field(row.reason));
    }
  }
  return out;
}

std::string validation_markdown(const ValidationReport& report, const std::string& title) {
  const Score& macro = report.macro;
  std::string out = "# Validation\n\n";
  out += format(
      "Generated by `tinderbox validate` from {}. Each row of published measurements is predicted "
      "from its "
      "configuration columns alone.\n"
      "The error of a row is |predicted - measured| / measured; a group (one source, one "
      "configuration) has "
      "the median of its rows;\n"
      "the figures below are over groups. Refused rows lower the coverage.\n\n",
      title);
  out += markdown_row(
      {"rows", "predicted", "coverage", "groups", "median", "mean", "p90", "within 10 %", "bias",
       "in 90 % interval"});
  out += markdown_rule(0, 10);
  out += markdown_row({format("{}", report.rows.size()), format("{}", report.predicted),
                       percent(report.coverage), format("{}", macro.groups),
                       percent(macro.median_ape), percent(macro.mean_ape), percent(macro.p90_ape),
                       percent(macro.within_10pct), signed_percent(macro.bias),
                       percent(macro.interval_coverage)});
  out += "\n## By ";
  for (std::size_t i = 0; i < report.by.size(); ++i) out += (i > 0 ? ", " : "") + report.by[i];
  out +=
      "\n\nRows: predicted of all. Bias: median signed error; positive means predicted too "
      "high.\n\n";
  const std::vector<std::string> header = slice_header(report);
  out += markdown_row(header) + markdown_rule(report.by.size(), header.size());
  for (const ValidationSlice& slice : report.slices) out += markdown_row(slice_cells(slice));
  if (!report.speculation_slices.empty()) {
    out += format("\n## With speculation\n\nScored apart, since how many drafted tokens were accepted is a "
                  "guess: median {} over {} groups.\n\n",
                  percent(report.speculation.median_ape), report.speculation.groups);
    out += markdown_row(header) + markdown_rule(report.by.size(), header.size());
    for (const ValidationSlice& slice : report.speculation_slices) out += markdown_row(slice_cells(slice));
  }
  out += "\n## Refused\n\n" + markdown_row({"reason", "rows"}) + markdown_rule(1, 2);
  for (const auto& [reason, n] : refusals_by_count(report))
    out += markdown_row({reason, format("{}", n)});
  return out;
}

}  // namespace tinderbox

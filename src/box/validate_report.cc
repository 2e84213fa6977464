// The forms of a validation report: JSON, aligned text, CSV.
#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/markdown.h"
#include "box/validate.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> slice_cells(const ValidationSlice& slice) {
  const Score& s = slice.score;
  std::vector<std::string> cells = slice.key;
  cells.insert(cells.end(), {format("{}", s.groups), format("{}/{}", s.rows, slice.rows_all),
                             percent(s.median_ape), percent(s.p90_ape), signed_percent(s.bias),
                             s.intervals > 0 ? format("{:.0f} %", 100 * s.interval_coverage) : "-"});
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

Json slices_json(const ValidationReport& report,
                 const std::vector<ValidationSlice>& slices) {
  Json out = Json::array();
  for (const ValidationSlice& slice : slices) {
    Json s;
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
                macro.intervals > 0 ? percent(macro.interval_coverage) : "-");
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

}  // namespace tinderbox

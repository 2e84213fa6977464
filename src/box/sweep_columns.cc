#include "box/sweep_columns.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr SweepFigure kFigures[] = {
    {"finished", "/finished"},
    {"refused", "/refused"},
    {"cancelled", "/cancelled"},
    {"expired", "/expired"},
    {"duration_s", "/duration_s"},
    {"requests_per_s", "/requests_per_s"},
    {"output_tokens_per_s", "/output_tokens_per_s"},
    {"total_tokens_per_s", "/total_tokens_per_s"},
    {"good", "/good"},
    {"goodput_per_s", "/goodput_per_s"},
    {"saturation_per_s", "/load_margin/saturation_per_s"},
    {"load_share", "/load_margin/share"},
    {"ttft_mean_s", "/ttft_s/mean"},
    {"ttft_p50_s", "/ttft_s/p50"},
    {"ttft_p90_s", "/ttft_s/p90"},
    {"ttft_p99_s", "/ttft_s/p99"},
    {"tpot_mean_s", "/tpot_s/mean"},
    {"tpot_p50_s", "/tpot_s/p50"},
    {"tpot_p90_s", "/tpot_s/p90"},
    {"tpot_p99_s", "/tpot_s/p99"},
    {"itl_mean_s", "/itl_s/mean"},
    {"itl_p99_s", "/itl_s/p99"},
    {"e2e_mean_s", "/e2e_s/mean"},
    {"e2e_p50_s", "/e2e_s/p50"},
    {"e2e_p99_s", "/e2e_s/p99"},
    {"queue_mean_s", "/queue_s/mean"},
    {"queue_p99_s", "/queue_s/p99"},
    {"mean_batch", "/mean_batch"},
    {"kv_blocks", "/kv_blocks"},
    {"kv_blocks_peak", "/kv_blocks_peak"},
    {"preemptions", "/preemptions"},
    {"prefix_tokens", "/prefix_tokens"},
    {"prefix_hit_tokens", "/prefix_hit_tokens"},
    {"wall_energy_per_token_j", "/wall_energy_per_token_j"},
    {"mean_wall_w", "/mean_wall_w"},
    {"gpu_max_c", "/gpu_max_c"},
    {"slowest_speed", "/slowest_speed"},
    {"down_s", "/down_s"},
};

}  // namespace

std::span<const SweepFigure> sweep_figures() { return kFigures; }

std::string sweep_column(std::string_view key) {
  std::string out(key);
  std::ranges::replace(out, '-', '_');
  return out;
}

std::vector<std::string> sweep_columns(const Sweep& sweep) {
  std::vector<std::string> columns = {"point"};
  for (const std::string& key : all_keys(sweep)) columns.push_back(sweep_column(key));
  const std::size_t n_settings = columns.size();
  columns.emplace_back("error");
  for (const SweepFigure& figure : kFigures) columns.emplace_back(figure.column);
  columns.emplace_back("command");
  for (std::size_t i = 1; i < n_settings; ++i) {
    // No option may have the name of a figure.
    CHECK(std::count(columns.begin(), columns.end(), columns[i]) == 1 && columns[i] != "report");
  }
  return columns;
}

std::string quoted_columns(const std::vector<std::string>& columns) {
  return format("\"{}\"", fmt::join(columns, "\", \""));
}

// SQLite decides which numbers among the settings are numbers (affinity NUMERIC).
std::string sweep_schema(const Sweep& sweep) {
  std::string columns = "point INTEGER PRIMARY KEY";
  for (const std::string& key : all_keys(sweep))
    columns += format(", \"{}\" NUMERIC", sweep_column(key));
  columns += ", error TEXT";
  for (const SweepFigure& figure : kFigures) columns += format(", {} NUMERIC", figure.column);
  return format("CREATE TABLE points({}, command TEXT, report TEXT)", columns);
}

std::string design_difference(const std::string& ours, const std::string& theirs) {
  const std::vector<std::string> a = split(ours, '\n'), b = split(theirs, '\n');
  const auto lacks = [](const auto& lines, const std::string& line) {
    return std::ranges::find(lines, line) == lines.end();
  };
  for (const std::string& line : a) {
    if (lacks(b, line)) return format("the sweep file now says `{}`", line);
  }
  for (const std::string& line : b) {
    if (lacks(a, line)) return format("the sweep file no longer says `{}`", line);
  }
  return "the sweep file has its keys in another order";
}

}  // namespace tinderbox

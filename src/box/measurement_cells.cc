// Cells of a row of measurements: what columns of numbers hold, and what is no number.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "box/measurement.h"

namespace tinderbox {
namespace {

// The columns of numbers and what predict() and simulate() can take in them.
struct NumberColumn {
  std::string_view name;
  double low, high;
};
constexpr double kTokens = 1 << 24;
constexpr NumberColumn kNumbers[] = {
    {"value", 1e-9, 1e12},
    {"nodes", 1, 1 << 16},
    {"prompt_tokens", 0, kTokens},
    {"gen_tokens", 0, kTokens},
    {"depth", 0, kTokens},
    {"ctx_start", 0, kTokens},
    {"concurrency", 1, 1 << 16},
    {"prompt_mean", 0, kTokens},
    {"gen_mean", 0, kTokens},
    {"ubatch", 1, kTokens},
    {"max_batched_tokens", 1, kTokens},
    {"max_num_seqs", 1, 1 << 16},
    {"num_requests", 1, static_cast<double>(kRequestsMax)},
    {"arrival_req_per_s", 1e-6, 1e6},
    {"burstiness", 0.01, 1e6},
    {"range_ratio", 0, 1},
    {"spec_accept", 0, 256},
    {"checkpoint_gb", 1e-3, 1e5},
};

}  // namespace

const std::string& Cells::text(std::string_view column) const {
  static const std::string none;
  return csv_->has(column) ? csv_->at(row_, column) : none;
}

namespace {

// A number, or the middle of a range that a source states: "50-1000".
std::optional<double> parse_cell(const std::string& cell) {
  const std::size_t dash = cell.find('-', 1);
  if (dash == std::string::npos || cell[dash - 1] == 'e') return parse_double(cell);
  const auto low = parse_double(cell.substr(0, dash)), high = parse_double(cell.substr(dash + 1));
  if (!low || !high || *low > *high) return std::nullopt;
  return (*low + *high) / 2;
}

}  // namespace

std::optional<std::string> Cells::problem(std::string_view column) const {
  const auto limits = std::ranges::find(kNumbers, column, &NumberColumn::name);
  CHECK(limits != std::end(kNumbers));
  // Only the value must be there.
  if (!has(column) && column != "value") return std::nullopt;
  const auto value = parse_cell(text(column));
  if (value && *value >= limits->low && *value <= limits->high) return std::nullopt;
  return format("{}: row '{}': column {} has '{}', not a number from {} to {}", csv_->where(row_),
                text("id"), column, text(column), limits->low, limits->high);
}

std::optional<std::string> Cells::problem() const {
  for (const NumberColumn& column : kNumbers) {
    if (auto found = problem(column.name)) return found;
  }
  return std::nullopt;
}

std::optional<double> Cells::number(std::string_view column) const {
  if (auto found = problem(column)) throw_invalid(*std::move(found));
  return has(column) ? parse_cell(text(column)) : std::nullopt;
}

std::optional<std::int64_t> Cells::count(std::string_view column) const {
  const auto n = number(column);
  return n ? std::optional<std::int64_t>(std::llround(*n)) : std::nullopt;
}

}  // namespace tinderbox

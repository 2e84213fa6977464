// Published rows with all that was predicted of them: by the stacks as they are, and, for rows that
// calibration uses, by fits that have not seen the row's model or source. What the tables and plots
// of VALIDATION.md are made of.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.h"
#include "base/csv.h"
#include "box/calibrate.h"
#include "box/score.h"
#include "box/validate.h"

namespace tinderbox {

// What a row measures. Tpot: time per token, or the rate of one stream, with others beside it.
enum class RowKind : std::uint8_t { Decode, Prefill, Ttft, Tpot, Serve, Memory, Other };
std::string_view row_kind_name(RowKind kind);

// Which fit a prediction is of. A row that no fit uses (other machines, several boxes, memory, open
// loop) has one prediction, which none of its kind has moved.
enum class FitOf : std::uint8_t { AllRows, WithoutModel, WithoutSource };
inline constexpr std::array kFits = {FitOf::AllRows, FitOf::WithoutModel, FitOf::WithoutSource};

struct PublishedRow {
  std::size_t file = 0, index = 0;  // in the list of files, in its file
  std::string id, group, source, machine, stack, model, family, weights, quality;
  std::string test, metric, unit;
  std::string load;  // "prompt 2048, gen 32, concurrency 1": what is stated
  RowKind kind{};
  bool speculation = false;
  double measured = 0;
  std::optional<double> predicted{}, without_model{}, without_source{};  // measured's unit
  double low = 0, high = 0;  // of `predicted`; equal: unknown
  std::string refused{};     // why there is no prediction

  std::optional<double> prediction(FitOf fit) const;
  // Requires a prediction. The interval is as wide, in proportion, around each.
  Sample sample(FitOf fit) const;
};

using RowList = std::vector<const PublishedRow*>;
using RowFilter = std::function<bool(const PublishedRow&)>;
using RowKey = std::function<std::string(const PublishedRow&)>;

// model_type of a config.json of the catalogue; "unknown" without one.
std::string model_family(const Catalogue& models, const std::string& id);

// All rows of a file in its order. report: of the same rows.
std::vector<PublishedRow> published_rows(std::size_t file, const Csv& csv,
                                         const ValidationReport& report, const Catalogue& models);
// rows: those that were calibrated, by their index there. by: Model or Source.
void add_left_out(const std::vector<PublishedRow*>& rows, const Calibration& calibration,
                  LeaveOut by);

RowList where(const std::vector<PublishedRow>& rows, const RowFilter& filter);
// Every row in one slice.
std::map<std::string, RowList> slices_of(const RowList& rows, const RowKey& key);
std::int64_t count_predicted(const RowList& rows);
Score score(const RowList& rows, FitOf fit);

}  // namespace tinderbox

// The twin of our own engine: what `tinderbox bench` should measure on a machine, and predictions beside measurements
// as table, CSV and Markdown. `./dev bench twin` fills them; nothing here reads a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/csv.h"
#include "twin/step_model.h"

namespace tinderbox {

// Tokens a second of one test of one model, predicted and measured on the same computer.
struct OwnEngineRow {
  std::string model, weights;
  std::string test;  // "pp512", "tg128"
  double predicted = 0, measured = 0;
  std::optional<double> low{}, high{};  // the stated interval, if one is stated

  // Relative: predicted / measured - 1.
  double error() const { return predicted / measured - 1; }
  std::optional<bool> held() const {
    if (!low || !high) return std::nullopt;
    return *low <= measured && measured <= *high;
  }
};

struct OwnEngineResult {
  std::string cpu, date;
  std::int64_t n_cores = 0;
  std::vector<OwnEngineRow> rows{};
};

// What `tinderbox bench -p prompt` or `-n gen` prints; exactly one of them is above 0. Fills test, predicted, low and
// high. Throws as predict().
OwnEngineRow predict_bench(const StepModel& model, std::int64_t prompt, std::int64_t gen);

std::string own_engine_table(const OwnEngineResult& result);
// A section of VALIDATION.md, beginning with its heading.
std::string own_engine_markdown(const OwnEngineResult& result);

// data/own-engine.csv, there and back: read gives what was written, numbers to 5 digits.
std::string own_engine_csv(const OwnEngineResult& result);
// Throws Error::Invalid naming file and column if a number does not parse or there is no row.
OwnEngineResult read_own_engine(const Csv& csv);

}  // namespace tinderbox

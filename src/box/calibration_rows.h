// Rows of measurements prepared for fitting: each with its twin and its load, so that a set of
// numbers can be tried on all of them quickly. Not thread-safe; uses the pool it is given.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <Eigen/Dense>

#include "base/csv.h"
#include "base/thread_pool.h"
#include "box/measurement.h"

namespace tinderbox {

struct CalibrationRow {
  std::size_t index = 0;  // in the file
  std::string id, group, source;
  Measured measured;
  double value = 0;   // base units
  double weight = 0;  // 1 / rows of its group
  // A time per token of requests that come when they come, at the load that was measured with it: the point's
  // concurrency is how many generated at once, by Little's law.
  bool steady = false;
  bool published = true;  // with the load that the row states
};

struct CalibrationRows {
  std::vector<CalibrationRow> fitted;  // with a twin, a load that starts at once or is steady, a positive value
  std::vector<CalibrationRow> tested;  // requests that come when they come, and rows that were fitted otherwise
};
// Rows of sources that counted fewer tokens of their prompts than they state (box/counted_prompts.h) are fitted with
// what was counted, and tested as they are published.
CalibrationRows calibration_rows(const Csv& csv, Questioner& questioner);

class CalibrationSet {
 public:
  struct Twin {
    StepModel model;
    std::string kernel_path, version;
  };

  // Rows without a twin or beyond their model's context are dropped.
  CalibrationSet(std::vector<CalibrationRow> rows, Questioner& questioner);

  const std::vector<CalibrationRow>& rows() const { return rows_; }
  Eigen::VectorXd weights() const;
  // log(predicted / measured) of every row; `changed` gives each twin its numbers.
  Eigen::VectorXd residuals(const std::function<StepModel(const Twin&)>& changed,
                            ThreadPool& pool) const;
  // 0 for rows that the key function maps to `key`, 1 for the others.
  using Key = std::function<const std::string&(const CalibrationRow&)>;
  Eigen::VectorXd without(const Key& key_of, const std::string& key) const;

 private:
  // Rows that one prediction answers.
  struct Job {
    std::size_t twin = 0;
    std::vector<std::size_t> rows;
  };
  std::size_t twin_of(const Measured& measured, Questioner& questioner);
  bool predictable(const StepModel& model, const CalibrationRow& row) const;

  std::vector<CalibrationRow> rows_;
  std::vector<Twin> twins_;
  std::map<std::string, std::size_t> twin_index_;  // kNone: none
  std::vector<Job> jobs_;
};

// Median over groups of the median error in each.
double macro_median(const std::vector<CalibrationRow>& rows, const Eigen::VectorXd& residuals);

}  // namespace tinderbox

// For tests: rows that a known llama.cpp made, and fits to them.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "box/calibrate.h"
#include "box/test_rows.h"

namespace tinderbox::testing {

// Configurations of llama.cpp on one box, each its own group: what a row of measurements says of them
// is made by the twin itself.
inline std::vector<RowText> configurations() {
  struct Model {
    const char* base;
    const char* weights;
  };
  std::vector<RowText> rows;
  int n = 0;
  for (const Model& model : {Model{"llama-3.1-8b", "q8_0"}, Model{"llama-3.1-8b", "q4_k_m"},
                             Model{"qwen3-30b-a3b", "q4_k_m"}, Model{"qwen3-32b", "q8_0"}}) {
    const auto add = [&](RowText row) {
      row["base"] = model.base;
      row["weights_norm"] = model.weights;
      row["id"] = row["group"] = format("c{}", n++);
      rows.push_back(row);
    };
    for (const char* depth : {"0", "8192", "32768"}) {
      add(decode_row({{"ctx_start", depth}}));
      add(prefill_row({{"depth", depth}, {"prompt_tokens", "512"}, {"ubatch", "512"}}));
    }
    for (const char* prompt : {"16", "64", "2048"}) add(prefill_row({{"prompt_tokens", prompt}}));
    for (const char* streams : {"4", "16"}) add(decode_row({{"concurrency", streams}}));
  }
  return rows;
}

// The stack with its priors for numbers, times factors: whatever the file was last fitted to.
inline Stack with_truth(Stack stack, const std::map<std::string, double>& factors) {
  for (const StackParameter& p : parameters(stack)) {
    const auto factor = factors.find(p.key);
    *p.value = std::ranges::find(stack.facts, p.key, &Fact::key)->fit->prior *
               (factor == factors.end() ? 1 : factor->second);
  }
  return stack;
}

// Values of the rows by such a stack, times noise.
inline Csv measured_with(std::vector<RowText> rows, const std::map<std::string, double>& factors,
                  const std::function<double(std::size_t)>& noise = {}) {
  const TwinCatalogues resources = known().resources();
  Questioner questioner(resources);
  const Stack truth = with_truth(questioner.stack("llama.cpp"), factors);
  const Csv csv = csv_of(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Question q = questioner.question(Cells(csv, i));
    const BuiltTwin built = questioner.build(*q.measured);
    const StepModel model =
        built.model->with_stack(with_path(truth, q.measured->kernel_path, q.measured->version));
    const double value = read_off(predict(model, q.measured->point), *q.measured, truth);
    rows[i]["value"] = format("{}", value * q.measured->scale * (noise ? noise(i) : 1));
  }
  return csv_of(rows);
}

inline Calibration fit(const Csv& rows, LeaveOut leave_out = LeaveOut::Nothing, int n_threads = 2) {
  return calibrate(rows, known().resources(), {.leave_out = leave_out, .n_threads = n_threads});
}

inline const FittedParameter& parameter(const Calibration& calibration, const std::string& key) {
  const auto& list = calibration.stacks.at(0).parameters;
  const auto found = std::ranges::find(list, key, &FittedParameter::key);
  EXPECT_NE(found, list.end()) << key;
  return *found;
}

// Away from the priors, so that the fit has something to find.
inline const std::map<std::string, double> kTruth = {
    {"kernels.q8.memory_share", 0.93},    {"kernels.q8.compute_share", 1.4},
    {"kernels.k.memory_share", 1.06},     {"kernels.k.compute_share", 0.7},
    {"price.expert_memory_ratio", 0.85},  {"price.expert_compute_ratio", 1.3},
    {"price.attention_memory_share", 1.4}, {"price.graph_kernel_time", 1.5}};

}  // namespace tinderbox::testing

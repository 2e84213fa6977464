// Prices of steps from their sums, for simulations: a StepModel asked at knots, once each, and straight
// lines between them. Not for several threads: it fills as it is asked.
//
// The decoding sequences are taken at their mean past, prompts as chunks of equal size at their mean
// past: near exact where every layer attends to all its past, a guess where sparse attention meets
// prompts of unlike pasts. A test holds it to these errors for every model of the catalogue.
#pragma once

#include <cstdint>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/clock.h"
#include "twin/step_model.h"

namespace tinderbox {

inline constexpr double kStepTableError = 0.01;  // of the time of 95 % of steps, against StepModel::price()
inline constexpr double kStepTableErrorMax = 0.15;

// A step as sums over its sequences.
struct StepSums {
  std::int64_t n_decoding = 0, decoding_past = 0;  // sequences with one new token after a past; sum of pasts
  std::int64_t n_prompts = 0, prompt_tokens = 0;   // chunks of prompts; sum of new tokens
  std::int64_t prompt_past = 0;  // sum over their new tokens of the past of the chunk
  std::int64_t n_continued = 0, continued_tokens = 0;  // chunks with a past; sum of their new tokens
  bool last_samples = true;      // of the chunks only the last may be one that more follow
};

class StepTable {
 public:
  // model must outlive this.
  explicit StepTable(const StepModel& model) : model_(model) {}

  // Requires some token.
  Duration time(const StepSums& step);
  // Of decoding alone. Steps of one block of four tokens of mean past take the same time, that of its
  // middle.
  Duration decode_time(std::int64_t n_sequences, std::int64_t n_past);
  // So many steps from here on take the same time.
  static std::int64_t n_alike(std::int64_t n_sequences, std::int64_t n_past);

 private:
  // The price at one knot.
  struct Knot {
    std::int64_t n_decoding = 0, past = 0;  // each
    std::int64_t n_prompts = 0, prompt_tokens = 0, prompt_past = 0;  // past of each
    bool last_samples = true;
  };
  double at(const Knot& knot);
  double of_unlike(const StepSums& step);
  double along_prompt(Knot knot, double prompt_past);
  double along_decoding(Knot knot, double past, double prompt_past);

  const StepModel& model_;
  std::vector<std::vector<double>> decode_;            // [sequences][knot of past]; negative: not yet asked
  boost::unordered_flat_map<std::uint64_t, double> prompts_;  // seconds; looked up, never iterated
  std::vector<Segment> segments_;
};

}  // namespace tinderbox

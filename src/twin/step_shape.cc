// What counts take from a step's segments: sums over tokens of the rows they see, in closed form.
#include <algorithm>
#include <cmath>
#include <limits>

#include "twin/work.h"

namespace tinderbox {
namespace {

// Sum over i = 1 ... n of min(i, most).
double sum_of_tokens(double n, double most) {
  const double growing = std::min(n, most);
  return growing * (growing + 1) / 2 + (n - growing) * most;
}

// Sum over i = 1 ... n of min(floor(i / size), most).
double sum_of_blocks(double n, double size, double most) {
  const double growing = std::min(n, most * size);
  const double full = std::floor(growing / size);
  const double sum = size * full * (full - 1) / 2 + full * (growing - full * size + 1);
  return growing < n ? sum + (n - growing) * most : sum;
}

// Sum over i = 1 ... n of i mod size.
double sum_of_rests(double n, double size) {
  const double full = std::floor(n / size), rest = n - full * size;
  return full * size * (size - 1) / 2 + rest * (rest + 1) / 2;
}

constexpr double kAll = 9e15;  // more tokens than there can be; exact in a double

void attended(const Segment& s, const OpAttributes& at, StepShape& step) {
  const double past = s.n_past, n = s.n_new, all = past + n;
  const double window = at.window > 0 ? at.window : kAll, top_k = at.top_k > 0 ? at.top_k : kAll;
  const auto blocks = [&](double size) {
    return sum_of_blocks(all, size, top_k) - sum_of_blocks(past, size, top_k);
  };
  if (at.top_k > 0 && at.ratio == 0) {
    const double selected = blocks(at.block) * at.block + sum_of_rests(all, at.block) -
                            sum_of_rests(past, at.block);
    step.pairs += selected;
    step.keys += std::min(all, selected);
    return;
  }
  step.pairs += sum_of_tokens(all, window) - sum_of_tokens(past, window);
  step.keys += std::min(all, window + n - 1);
  if (at.ratio == 0) return;
  const double far = blocks(at.ratio), pooled = std::floor(all / at.ratio);
  step.pairs += far;
  step.keys += at.top_k > 0 ? std::min(pooled, far) : pooled;
}

void scored(const Segment& s, const OpAttributes& at, StepShape& step) {
  const double all = s.n_past + s.n_new, keys_per_block = at.block / at.ratio;
  const double blocks =
      sum_of_blocks(all, at.block, kAll) - sum_of_blocks(s.n_past, at.block, kAll);
  step.blocks += blocks;
  step.pairs += blocks * keys_per_block;
  step.keys += std::floor(all / at.block) * keys_per_block;
}

void pooled(const Segment& s, const OpAttributes& at, StepShape& step) {
  const double kept = static_cast<double>(at.ratio) * at.overlap;
  const double completed = (s.n_past + s.n_new) / at.ratio - s.n_past / at.ratio;
  step.completed += completed;
  step.kept_written += std::min<double>(s.n_new, kept);
  if (completed > 0) step.kept_read += kept;
}

}  // namespace

StepShape shape_of(std::span<const Segment> segments, const OpAttributes& at, OpKind kind) {
  StepShape step;
  for (const Segment& s : segments) {
    step.n_sequences += 1;
    step.n_tokens += s.n_new;
    if (kind == OpKind::Attention) attended(s, at, step);
    if (kind == OpKind::Select) scored(s, at, step);
    if (kind == OpKind::PoolStore) pooled(s, at, step);
  }
  if (at.n_experts > 0) step.experts = expected_experts(at.n_experts, at.n_used, step.n_tokens);
  return step;
}

}  // namespace tinderbox

#include "twin/step_table.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "twin/speculation.h"

namespace tinderbox {
namespace {

constexpr std::int64_t kQuantum = 4;  // tokens of mean past, and steps, that take the same time
constexpr int kPastBits = 6;          // the first knot after 0 is 2^kPastBits tokens
constexpr int kSequenceBits = 3, kPromptBits = 9;  // all numbers below 2^bits are knots; half as many to each
                                                   // power of two above

int width(std::int64_t n) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n))); }

// Knots of past: 0, 64, 80, 96, 112, 128, 160, ...
int past_idx(double past) {
  const auto n = static_cast<std::int64_t>(past);
  const int octave = width(n) - kPastBits;
  return octave <= 0 ? 0 : 4 * (octave - 1) + static_cast<int>(n >> (octave + kPastBits - 3)) - 3;
}
std::int64_t past_at(int idx) {
  if (idx == 0) return 0;
  const int octave = (idx - 1) / 4, quarter = (idx - 1) % 4;
  return std::int64_t{4 + quarter} << (octave + kPastBits - 2);
}

// Knots of counts, around n.
struct Around {
  std::int64_t low, high;
};
Around around(std::int64_t n, int bits) {
  const int shift = std::max(0, width(n) - bits);
  const std::int64_t low = n >> shift << shift;
  return {low, low == n ? low : low + (std::int64_t{1} << shift)};
}
std::uint64_t count_idx(std::int64_t knot, int bits) {
  const int shift = std::max(0, width(knot) - bits);
  return (static_cast<std::uint64_t>(shift) << bits) + static_cast<std::uint64_t>(knot >> shift);
}

double line(double low, double high, double share) { return low + (high - low) * share; }
double share_of(double x, std::int64_t low, std::int64_t high) {
  return (x - static_cast<double>(low)) / static_cast<double>(high - low);
}

// Fields that do not fit would be taken for others.
std::uint64_t pack(std::uint64_t key, std::uint64_t field, int bits) {
  CHECK(field >> bits == 0);
  return key << bits | field;
}

}  // namespace

double StepTable::at(const Knot& k) {
  std::uint64_t key = pack(0, count_idx(k.n_decoding, kSequenceBits), 8);
  key = pack(key, static_cast<std::uint64_t>(past_idx(static_cast<double>(k.past))), 7);
  key = pack(key, count_idx(k.prompt_tokens, kPromptBits), 14);
  key = pack(key, static_cast<std::uint64_t>(k.n_prompts), 24);
  key = pack(key, static_cast<std::uint64_t>(past_idx(static_cast<double>(k.prompt_past))), 7);
  key = pack(key, k.last_samples ? 1 : 0, 1);
  const auto found = prompts_.find(key);
  if (found != prompts_.end()) return found->second;
  segments_.assign(static_cast<std::size_t>(k.n_decoding),
                   {.n_past = static_cast<std::int32_t>(k.past), .n_new = 1, .samples = true});
  for (std::int64_t i = 0; i < k.n_prompts; ++i) {
    const std::int64_t n_new = k.prompt_tokens / k.n_prompts + (i < k.prompt_tokens % k.n_prompts);
    segments_.push_back({.n_past = static_cast<std::int32_t>(k.prompt_past),
                         .n_new = static_cast<std::int32_t>(n_new),
                         .samples = i + 1 < k.n_prompts || k.last_samples});
  }
  return prompts_[key] = time_of_step(model_, segments_).value();
}

double StepTable::along_prompt(Knot knot, double prompt_past) {
  const int idx = past_idx(prompt_past);
  knot.prompt_past = past_at(idx);
  const double low = at(knot);
  if (prompt_past == static_cast<double>(past_at(idx))) return low;
  knot.prompt_past = past_at(idx + 1);
  return line(low, at(knot), share_of(prompt_past, past_at(idx), past_at(idx + 1)));
}

double StepTable::along_decoding(Knot knot, double past, double prompt_past) {
  if (knot.n_decoding == 0) return along_prompt(knot, prompt_past);
  const int idx = past_idx(past);
  knot.past = past_at(idx);
  const double low = along_prompt(knot, prompt_past);
  knot.past = past_at(idx + 1);
  return line(low, along_prompt(knot, prompt_past), share_of(past, past_at(idx), past_at(idx + 1)));
}

// Chunks that go on beside new prompts, each kind with its own past.
double StepTable::of_unlike(const StepSums& step) {
  const auto each = [](std::int64_t sum, std::int64_t n) { return static_cast<std::int32_t>(sum / n); };
  segments_.clear();
  if (step.n_decoding > 0) {
    segments_.assign(static_cast<std::size_t>(step.n_decoding),
                     {.n_past = each(step.decoding_past, step.n_decoding), .n_new = 1, .samples = true});
  }
  const auto add = [&](std::int64_t n, std::int64_t tokens, std::int32_t past) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t n_new = tokens / n + (i < tokens % n);
      segments_.push_back({.n_past = past, .n_new = static_cast<std::int32_t>(n_new), .samples = true});
    }
  };
  add(step.n_continued, step.continued_tokens, each(step.prompt_past, step.continued_tokens));
  add(step.n_prompts - step.n_continued, step.prompt_tokens - step.continued_tokens, 0);
  segments_.back().samples = step.last_samples;
  return time_of_step(model_, segments_).value();
}

Duration StepTable::time(const StepSums& step) {
  if (step.n_prompts == 0) return decode_time(step.n_decoding, step.decoding_past);
  // What sparse attention reads does not grow with the past: the mean past of new and old chunks would say too much.
  const bool unlike = step.n_continued > 0 && step.n_continued < step.n_prompts;
  if (unlike && model_.twin().model.index.top_k > 0) return to_duration(Seconds(of_unlike(step)));
  const double prompt_past =
      static_cast<double>(step.prompt_past) / static_cast<double>(step.prompt_tokens);
  const double past = step.n_decoding == 0 ? 0
                                           : static_cast<double>(step.decoding_past) /
                                                 static_cast<double>(step.n_decoding);
  const Around tokens = around(step.prompt_tokens, kPromptBits);
  const Around sequences = around(step.n_decoding, kSequenceBits);
  const auto with_tokens = [&](std::int64_t n_tokens) {
    Knot knot{.n_decoding = sequences.low,
              .past = 0,
              .n_prompts = std::min(step.n_prompts, n_tokens),
              .prompt_tokens = n_tokens,
              .prompt_past = 0,
              .last_samples = step.last_samples};
    const double low = along_decoding(knot, past, prompt_past);
    if (sequences.low == sequences.high) return low;
    knot.n_decoding = sequences.high;
    return line(low, along_decoding(knot, past, prompt_past),
                share_of(static_cast<double>(step.n_decoding), sequences.low, sequences.high));
  };
  double time = with_tokens(tokens.low);
  if (tokens.low != tokens.high) {
    time = line(time, with_tokens(tokens.high),
                share_of(static_cast<double>(step.prompt_tokens), tokens.low, tokens.high));
  }
  return to_duration(Seconds(time));
}

std::int64_t StepTable::n_alike(std::int64_t n_sequences, std::int64_t n_past) {
  const std::int64_t block = kQuantum * n_sequences;
  return (block - n_past % block + n_sequences - 1) / n_sequences;
}

Duration StepTable::decode_time(std::int64_t n_sequences, std::int64_t n_past) {
  CHECK(n_sequences >= 1);
  if (std::cmp_less_equal(decode_.size(), n_sequences)) {
    decode_.resize(static_cast<std::size_t>(n_sequences) + 1);
  }
  std::vector<double>& knots = decode_[static_cast<std::size_t>(n_sequences)];
  const auto at = [&](int idx) {
    if (std::cmp_less_equal(knots.size(), idx)) knots.resize(static_cast<std::size_t>(idx) + 1, -1);
    double& time = knots[static_cast<std::size_t>(idx)];
    if (time < 0) {
      segments_.assign(
          static_cast<std::size_t>(n_sequences),
          {.n_past = static_cast<std::int32_t>(past_at(idx)), .n_new = 1, .samples = true});
      time = time_of_step(model_, segments_).value();
    }
    return time;
  };
  const std::int64_t block = n_past / (kQuantum * n_sequences);
  const double past = static_cast<double>(block * kQuantum) + (kQuantum - 1) / 2.0;
  const int idx = past_idx(past);
  const double high = at(idx + 1);
  return to_duration(
      Seconds(line(at(idx), high, share_of(past, past_at(idx), past_at(idx + 1)))));
}

}  // namespace tinderbox

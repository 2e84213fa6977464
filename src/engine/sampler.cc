// sample(): repetition penalty, temperature, top-k, top-p, min-p, draw, in that order
// (base/sampling.h). Any logits and any parameters give a token: NaN counts as -infinity, and a
// parameter outside its range as its nearest sense.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "engine/engine.h"

namespace tinderbox {

namespace {

struct Candidate {
  TokenId id;
  double weight;  // proportional to its probability
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

// Logits without NaN and +infinity, with the penalty on every token of the history (Keskar et al.
// 2019: positive ones are divided, negative ones multiplied).
std::vector<float> penalised(std::span<const float> logits, double penalty,
                             std::span<const TokenId> history) {
  std::vector<float> out(logits.begin(), logits.end());
  for (float& x : out) {
    if (std::isnan(x)) x = -std::numeric_limits<float>::infinity();
    x = std::min(x, std::numeric_limits<float>::max());
  }
  if (!(penalty > 0) || !std::isfinite(penalty) || penalty == 1.0) return out;
  std::vector<bool> seen(out.size(), false);
  for (const TokenId id : history) {
    if (id < 0 || static_cast<std::size_t>(id) >= out.size() || seen[static_cast<std::size_t>(id)])
      continue;
    seen[static_cast<std::size_t>(id)] = true;
    float& x = out[static_cast<std::size_t>(id)];
    const double moved = x > 0 ? x / penalty : x * penalty;
    constexpr double kMost = std::numeric_limits<float>::max();
    if (std::isfinite(x)) x = static_cast<float>(std::clamp(moved, -kMost, kMost));
  }
  return out;
}

// Keeps the n likeliest, in order.
void keep(std::vector<Candidate>& candidates, std::size_t n) {
  n = std::min(n, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(n),
                    candidates.end(), likelier);
  candidates.resize(n);
}

// Keeps the smallest set of likeliest candidates that holds at least top_p of the total (Holtzman
// et al. 2020). Sorts no more of the vocabulary than it needs.
void keep_nucleus(std::vector<Candidate>& candidates, double top_p) {
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  double sum = 0;
  std::size_t sorted = 0;
  for (std::size_t step = 64; sorted < candidates.size(); step *= 8) {
    const std::size_t end = std::min(candidates.size(), sorted + step);
    std::partial_sort(candidates.begin() + static_cast<std::ptrdiff_t>(sorted),
                      candidates.begin() + static_cast<std::ptrdiff_t>(end), candidates.end(),
                      likelier);
    for (; sorted < end; ++sorted) {
      sum += candidates[sorted].weight;
      if (sum >= top_p * total) return candidates.resize(sorted + 1);
    }
  }
}

}  // namespace

namespace {

// Penalties, bias and constraint.
void adjust(std::vector<float>& x, const SamplingExtras& extras, std::span<const TokenId> history) {
  const auto n_prompt = std::min(history.size(), static_cast<std::size_t>(std::max(0, extras.n_prompt)));
  const std::span<const TokenId> answer = history.subspan(n_prompt);
  const auto at = [&](TokenId id) {
    return id >= 0 && static_cast<std::size_t>(id) < x.size() ? &x[static_cast<std::size_t>(id)] : nullptr;
  };
  if (extras.presence_penalty != 0 || extras.frequency_penalty != 0) {
    std::vector<TokenId> sorted(answer.begin(), answer.end());
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < sorted.size();) {
      std::size_t end = i;
      while (end < sorted.size() && sorted[end] == sorted[i]) ++end;
      if (float* logit = at(sorted[i])) {
        *logit -= static_cast<float>(extras.presence_penalty +
                                     extras.frequency_penalty * static_cast<double>(end - i));
      }
      i = end;
    }
  }
  for (const auto& [id, bias] : extras.bias) {
    if (float* logit = at(id)) *logit += bias;
  }
  if (extras.constraint) extras.constraint->mask(answer, x);
}

// log softmax of the chosen one and of the likeliest.
TokenDetail detail_of(std::span<const float> x, TokenId chosen, std::size_t n_top) {
  const double most = *std::ranges::max_element(x);
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - most);
  const double norm = most + std::log(sum);
  const auto logprob = [&](TokenId id) {
    return static_cast<float>(static_cast<double>(x[static_cast<std::size_t>(id)]) - norm);
  };
  TokenDetail detail{.logprob = logprob(chosen)};
  std::vector<Candidate> all;
  if (n_top > 0) {
    all.reserve(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) all.push_back({static_cast<TokenId>(i), x[i]});
    keep(all, n_top);
  }
  for (const Candidate& c : all) detail.top.emplace_back(c.id, logprob(c.id));
  return detail;
}

}  // namespace

Choice choose(std::span<const float> logits, const SamplingParams& params, std::span<const TokenId> history,
              std::int64_t position) {
  if (!params.extras) return {.token = sample(logits, params, history, position), .detail = {}};
  const SamplingExtras& extras = *params.extras;
  std::vector<float> x = penalised(logits, 1.0, {});
  adjust(x, extras, history);
  Choice choice{.token = sample(x, params, history, position), .detail = {}};
  if (extras.n_logprobs >= 0) {
    choice.detail = std::make_shared<TokenDetail>(
        detail_of(x, choice.token, static_cast<std::size_t>(extras.n_logprobs)));
  }
  return choice;
}

TokenId sample(std::span<const float> logits, const SamplingParams& params,
               std::span<const TokenId> history, std::int64_t position) {
  CHECK(!logits.empty());
  const std::vector<float> x = penalised(logits, params.repetition_penalty, history);
  const auto best = std::max_element(x.begin(), x.end());  // the first of equals
  const auto greedy = static_cast<TokenId>(best - x.begin());
  if (!(params.temperature > 0) || params.top_k == 1 || std::isinf(*best)) return greedy;

  std::vector<Candidate> candidates;
  candidates.reserve(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double below = static_cast<double>(x[i]) - static_cast<double>(*best);
    const double weight = below == 0 ? 1.0 : std::exp(below / params.temperature);
    if (weight > 0) candidates.push_back({static_cast<TokenId>(i), weight});
  }
  if (params.top_k > 0) keep(candidates, static_cast<std::size_t>(params.top_k));
  if (params.top_p < 1) keep_nucleus(candidates, std::max(0.0, params.top_p));
  if (params.min_p > 0) {  // relative to the likeliest, whose weight is 1
    const double least = std::min(1.0, params.min_p);
    std::erase_if(candidates, [least](const Candidate& c) { return c.weight < least; });
  }

  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  const auto words = philox(params.seed, Stream::Sampling, 0, static_cast<std::uint64_t>(position));
  const std::uint64_t bits = static_cast<std::uint64_t>(words[0]) << 32 | words[1];
  double left = static_cast<double>(bits >> 11) * 0x1p-53 * total;
  for (const Candidate& c : candidates) {
    if (left < c.weight) return c.id;
    left -= c.weight;
  }
  return candidates.back().id;  // rounding left a crumb
}

}  // namespace tinderbox

// The ops of mixtures of experts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/check.h"
#include "model/reference_interpreter.h"

namespace tinderbox::reference {

// The k largest of those allowed, ties to the lowest index.
std::vector<std::size_t> Interpreter::largest(std::span<const double> x,
                                              const std::vector<bool>& allowed, std::size_t k) {
  std::vector<std::size_t> chosen;
  for (std::size_t j = 0; j < k; ++j) {
    std::size_t best = x.size();
    double top = -std::numeric_limits<double>::infinity();
    for (std::size_t e = 0; e < x.size(); ++e) {
      if (!allowed[e] || std::ranges::find(chosen, e) != chosen.end()) continue;
      if (meter_.greater(x[e], top) || best == x.size()) best = e, top = x[e];
    }
    chosen.push_back(best);
  }
  return chosen;
}

// The experts of the best groups, a group being worth its two best experts together (DeepSeek-V3).
std::vector<bool> Interpreter::allowed_experts(const Routing& routing,
                                               std::span<const double> scores) {
  const auto n_groups = static_cast<std::size_t>(routing.n_groups),
             used = static_cast<std::size_t>(routing.n_groups_used);
  std::vector<bool> allowed(scores.size(), n_groups == used);
  if (n_groups == used) return allowed;
  const std::size_t size = scores.size() / n_groups;
  std::vector<double> worth;
  for (std::size_t g = 0; g < n_groups; ++g) {
    const auto group = scores.subspan(g * size, size);
    const auto best = largest(group, std::vector<bool>(size, true), std::min<std::size_t>(size, 2));
    worth.push_back(meter_.add(group[best[0]], best.size() > 1 ? group[best[1]] : 0.0));
  }
  for (const std::size_t g : largest(worth, std::vector<bool>(n_groups, true), used)) {
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) allowed[e] = true;
  }
  return allowed;
}

// What experts are chosen by, before the bias: softmax is monotone, so logits serve.
std::vector<double> Interpreter::expert_scores(const Op& op, std::span<const float> logits) {
  std::vector<double> scores(logits.begin(), logits.end());
  for (double& a : scores) {
    switch (op.at.routing.scoring) {
      case Scoring::Softmax:
        break;
      case Scoring::Sigmoid:
        a = meter_.sigmoid(a);
        break;
      case Scoring::SqrtSoftplus:
        a = meter_.sqrt(meter_.softplus(a));
        break;
    }
  }
  return scores;
}

// Ids and weights of the K chosen. Softmax: over the chosen (which is softmax over all,
// renormalised) or over all experts; other scores as they are or over their sum.
void Interpreter::moe_route(const Op& op) {
  Input logits = in(op, 0);
  Output y = out(op);
  const OpAttributes& at = op.at;
  const auto n_used = static_cast<std::size_t>(at.n_used);
  std::span<const float> bias, factors;
  if (op.in[1] != kNoValue) bias = in(op, 1).row(0);
  if (op.in[2] != kNoValue) factors = in(op, 2).row(0);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const std::vector<double> scores = expert_scores(op, logits.row(t));
    std::vector<double> worth = scores;
    for (std::size_t e = 0; e < bias.size(); ++e) worth[e] = meter_.add(worth[e], bias[e]);
    const auto chosen = largest(worth, allowed_experts(at.routing, worth), n_used);
    std::vector<double> p = scores;
    double sum = 0.0;
    if (at.routing.scoring == Scoring::Softmax) {
      const double top = scores[chosen[0]];
      const auto accumulate = [&](std::size_t e) {
        p[e] = meter_.exp(meter_.sub(scores[e], top));
        sum = meter_.add(sum, p[e]);
      };
      if (at.norm_topk) {
        for (const std::size_t e : chosen) accumulate(e);
      } else {
        for (std::size_t e = 0; e < p.size(); ++e) accumulate(e);
      }
    } else if (at.norm_topk) {
      for (const std::size_t e : chosen) sum = meter_.add(sum, p[e]);
    }
    const bool divides = at.norm_topk || at.routing.scoring == Scoring::Softmax;
    const auto to = y.row(t);
    for (std::size_t j = 0; j < n_used; ++j) {
      double w = p[chosen[j]];
      if (divides) w = meter_.div(w, sum);
      if (!factors.empty()) w = meter_.mul(w, factors[chosen[j]]);
      if (at.routing.scale != 1.0) w = meter_.mul(w, at.routing.scale);
      to[j] = static_cast<float>(chosen[j]);
      to[n_used + j] = static_cast<float>(w);
    }
  }
}

void Interpreter::moe_mat_mul(const Op& op) {
  Input x = in(op, 0), w = in(op, 1), routes = in(op, 2);
  Output y = out(op);
  const std::int64_t n_used = op.at.n_used, m = y.cols();
  const bool shared_input =
      x.rows() == graph_.n_tokens;  // one row a token, not one a (token, expert)
  std::set<std::int64_t> touched;
  for (std::int64_t t = 0; t < graph_.n_tokens; ++t) {
    const auto ids = routes.part(t, 0, n_used);
    for (std::int64_t j = 0; j < n_used; ++j) {
      const auto expert = static_cast<std::int64_t>(ids[static_cast<std::size_t>(j)]);
      touched.insert(expert);
      const auto from = x.row(shared_input ? t : t * n_used + j);
      const auto to = y.row(t * n_used + j);
      for (std::int64_t i = 0; i < m; ++i) {
        to[static_cast<std::size_t>(i)] =
            static_cast<float>(meter_.dot(from, w.row(expert * m + i)));
      }
    }
  }
  meter_.tally.experts_touched = static_cast<std::int64_t>(touched.size());
  if (op.in[3] == kNoValue) return;
  Input b = in(op, 3);
  for (std::int64_t t = 0; t < graph_.n_tokens; ++t) {
    for (std::int64_t j = 0; j < n_used; ++j) {
      const auto bias =
          b.row(static_cast<std::int64_t>(routes.part(t, 0, n_used)[static_cast<std::size_t>(j)]));
      const auto to = y.row(t * n_used + j);
      for (std::size_t i = 0; i < to.size(); ++i)
        to[i] = static_cast<float>(meter_.add(to[i], bias[i]));
    }
  }
}

void Interpreter::moe_combine(const Op& op) {
  Input x = in(op, 0), routes = in(op, 1);
  Output y = out(op);
  const std::int64_t n_used = op.at.n_used;
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto weights = routes.part(t, n_used, n_used);
    const auto to = y.row(t);
    for (std::size_t i = 0; i < to.size(); ++i) {
      double acc = 0.0;
      for (std::int64_t j = 0; j < n_used; ++j) {
        acc = meter_.add(
            acc, meter_.mul(weights[static_cast<std::size_t>(j)], x.row(t * n_used + j)[i]));
      }
      to[i] = static_cast<float>(acc);
    }
  }
}

}  // namespace tinderbox::reference

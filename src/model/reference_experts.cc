// The ops of mixtures of experts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/check.h"
#include "model/reference_interpreter.h"

namespace tinderbox::reference {

// The K largest logits, ties to the lowest id; their softmax over the chosen (which is softmax over
// all, renormalised) or over all experts.
void Interpreter::moe_route(const Op& op) {
  Input logits = in(op, 0);
  Output y = out(op);
  const auto n_used = static_cast<std::size_t>(model_.n_experts_used);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto x = logits.row(t);
    const auto to = y.row(t);
    std::vector<std::size_t> chosen;
    for (std::size_t j = 0; j < n_used; ++j) {
      std::size_t best = x.size();
      double top = -std::numeric_limits<double>::infinity();
      for (std::size_t e = 0; e < x.size(); ++e) {
        if (std::ranges::find(chosen, e) != chosen.end()) continue;
        if (meter_.greater(x[e], top) || best == x.size()) best = e, top = x[e];
      }
      chosen.push_back(best);
    }
    const double top = x[chosen[0]];
    double sum = 0.0;
    std::vector<double> p(x.size(), 0.0);
    const auto accumulate = [&](std::size_t e) {
      p[e] = meter_.exp(meter_.sub(x[e], top));
      sum = meter_.add(sum, p[e]);
    };
    if (model_.moe_norm_topk) {
      for (const std::size_t e : chosen) accumulate(e);
    } else {
      for (std::size_t e = 0; e < x.size(); ++e) accumulate(e);
    }
    for (std::size_t j = 0; j < n_used; ++j) {
      to[j] = static_cast<float>(chosen[j]);
      to[n_used + j] = static_cast<float>(meter_.div(p[chosen[j]], sum));
    }
  }
}

void Interpreter::moe_mat_mul(const Op& op) {
  Input x = in(op, 0), w = in(op, 1), routes = in(op, 2);
  Output y = out(op);
  const std::int64_t n_used = model_.n_experts_used, m = y.cols();
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
  const std::int64_t n_used = model_.n_experts_used;
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

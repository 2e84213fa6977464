#include "twin/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

struct Way {
  std::string_view name;
  int Parallel::*degree;
};
constexpr std::array<Way, 4> kWays = {{
    {"tp", &Parallel::tp}, {"pp", &Parallel::pp}, {"ep", &Parallel::ep}, {"dp", &Parallel::dp}}};

const Way& way_named(std::string_view name, std::string_view text) {
  std::vector<std::string> known;
  for (const Way& way : kWays) {
    if (way.name == name) return way;
    known.emplace_back(way.name);
  }
  throw_invalid(format("parallel '{}': expected ways of {}, joined by +; got '{}'{}", text,
                       fmt::join(known, ", "), name, did_you_mean(name, known)));
}

Parallel parse_ways(std::string_view text) {
  Parallel parallel;
  std::vector<std::string_view> seen;
  for (const std::string& part : split(text, '+')) {
    const std::size_t digits = std::min(part.find_first_of("0123456789"), part.size());
    const Way& way = way_named(std::string_view(part).substr(0, digits), text);
    const auto degree = parse_int(std::string_view(part).substr(digits));
    if (!degree || *degree < 1 || *degree > kBoxesMax) {
      throw_invalid(format("parallel '{}': expected {} of 1 to {} boxes; got '{}'", text, way.name,
                           kBoxesMax, part));
    }
    if (std::ranges::find(seen, way.name) != seen.end()) {
      throw_invalid(format("parallel '{}': {} is given twice", text, way.name));
    }
    seen.push_back(way.name);
    parallel.*way.degree = static_cast<int>(*degree);
  }
  return parallel;
}

// Experts within tp or beyond it: the larger of the two is a multiple of the smaller.
void settle_experts(Parallel& p, std::string_view text) {
  if (std::max(p.tp, p.ep) % std::min(p.tp, p.ep) != 0) {
    throw_invalid(format("parallel '{}': expected ep{} to divide tp{} or to be a multiple of it",
                         text, p.ep, p.tp));
  }
  if (p.ep <= p.tp || p.dp == 1) return;
  if (p.tp * p.dp != p.ep) {
    throw_invalid(format("parallel '{}': expected tp x dp = ep beyond tp; got {} x {} and {}", text,
                         p.tp, p.dp, p.ep));
  }
  p.dp = 1;  // the ranks that ep beyond tp implies
}

// Of the expected maximum of n independent normal variates, in standard deviations.
double expected_maximum(int n) {
  constexpr std::array<double, kBoxesMax + 1> kMaxima = {0,      0,      0.5642, 0.8463, 1.0294,
                                                         1.1630, 1.2672, 1.3522, 1.4236};
  return kMaxima[static_cast<std::size_t>(n)];
}

bool names_any(const Value& weight, std::initializer_list<std::string_view> stems) {
  return std::ranges::any_of(
      stems, [&](std::string_view stem) { return weight.name.find(stem) != std::string::npos; });
}

Split split_of_product(const Value& weight) {
  if (weight.weight_class == WeightClass::Router || weight.weight_class == WeightClass::Indexer) {
    return Split::None;
  }
  // What all heads share.
  if (names_any(weight, {"attn_q_a.", "attn_kv_a_mqa."})) return Split::None;
  return names_any(weight, {"attn_k.", "attn_v."}) ? Split::KvHeads : Split::Width;
}

const Value* weight_of(const Graph& graph, const Op& op) {
  for (const ValueId id : op.in) {
    if (id == kNoValue) continue;
    const Value& v = graph.values[static_cast<std::size_t>(id)];
    if (v.role == Role::Weight) return &v;
  }
  return nullptr;
}

double stage_share(const ModelConfig& model, int pp) {
  const int n = std::max(model.n_layers, 1);
  return static_cast<double>((n + pp - 1) / pp) / n;
}

}  // namespace

std::string Parallel::text() const {
  std::string out;
  for (const Way& way : kWays) {
    if (this->*way.degree == 1) continue;
    out += format("{}{}{}", out.empty() ? "" : "+", way.name, this->*way.degree);
  }
  return out;
}

Parallel parse_parallel(std::string_view text, std::optional<std::int64_t> boxes,
                        std::string_view usual) {
  if (boxes && (*boxes < 1 || *boxes > kBoxesMax)) {
    throw_invalid(format("nodes {}: expected 1 to {} boxes", *boxes, kBoxesMax));
  }
  const std::string ways = text.empty() ? format("{}{}", usual, boxes.value_or(1)) : lower(text);
  Parallel parallel = parse_ways(ways);
  settle_experts(parallel, ways);
  if (parallel.boxes() > kBoxesMax) {
    throw_invalid(format("parallel '{}': expected at most {} boxes; got {}", ways, kBoxesMax,
                         parallel.boxes()));
  }
  if (boxes && parallel.boxes() != *boxes) {
    throw_invalid(format("parallel '{}' is {} boxes; nodes says {}", ways, parallel.boxes(), *boxes));
  }
  return parallel;
}

Parallel parallel_of_devices(std::string_view text, std::int64_t n) {
  CHECK(!text.empty() && n >= 2);
  const bool degree = text.find_first_of("0123456789") != std::string_view::npos;
  const Parallel parallel = parse_parallel(
      degree ? std::string(text) : format("{}{}", text, n), std::nullopt, "");
  if (parallel.boxes() != n) {
    throw_invalid(format("parallel '{}': the box has {} devices; use as many, or another machine -xN",
                         text, n));
  }
  return parallel;
}

void check_parallel(const Graph& graph, const Parallel& p) {
  const ModelConfig& model = graph.model;
  const auto refuse = [&](std::string_view way, int degree, std::string_view what, int n) {
    throw_unsupported(format("{}{}: {} has {} {}, which do not split evenly; use another degree",
                             way, degree, model.id, n, what));
  };
  for (const Op& op : graph.ops) {
    const bool attention = op.kind == OpKind::Attention, scan = op.kind == OpKind::Scan;
    if (!attention && !scan) continue;
    if (op.at.n_heads % p.tp != 0) refuse("tp", p.tp, scan ? "state heads" : "heads", op.at.n_heads);
    const int kv = op.at.n_kv_heads;
    if (attention && kv % p.tp != 0 && p.tp % kv != 0) refuse("tp", p.tp, "KV heads", kv);
  }
  if (p.pp > model.n_layers) refuse("pp", p.pp, "layers", model.n_layers);
  if (p.ep > 1 && model.n_experts % p.ep != 0) refuse("ep", p.ep, "experts", model.n_experts);
  if (p.ep > 1 && !model.is_moe()) {
    throw_unsupported(format("ep{}: {} has no experts; use tp, pp or dp", p.ep, model.id));
  }
}

Split split_of(const Graph& graph, const Op& op) {
  const Value* weight = weight_of(graph, op);
  switch (op.kind) {
    case OpKind::MatMul:
      return split_of_product(*weight);
    case OpKind::Embed:
    case OpKind::BlockMatMul:
    case OpKind::Rope:
    case OpKind::Attention:
    case OpKind::Conv:
    case OpKind::Scan:
    case OpKind::Glu:
      return Split::Width;
    case OpKind::RmsNorm:  // those of heads; the residual stream is everyone's
      return weight != nullptr && names_any(*weight, {"attn_q_norm.", "attn_k_norm.", "ssm_norm."})
                 ? Split::Width
                 : Split::None;
    case OpKind::KvStore:
    case OpKind::PoolStore:
      return Split::KvHeads;
    case OpKind::MoeMatMul:
      return Split::Experts;
    case OpKind::LayerNorm:
    case OpKind::Select:  // every box picks the keys for itself
    case OpKind::Dot:
    case OpKind::StreamGates:
    case OpKind::StreamRead:
    case OpKind::StreamWrite:
    case OpKind::Add:
    case OpKind::Scale:
    case OpKind::Slice:
    case OpKind::MoeRoute:
    case OpKind::MoeCombine:
    case OpKind::SelectRows:
      return Split::None;
  }
  std::abort();
}

OpShares shares_of(const Graph& graph, const Op& op, const Parallel& p) {
  const bool in_layer = op.layer >= 0;
  int kv_heads = op.at.n_kv_heads;
  if (kv_heads == 0 && in_layer) kv_heads = graph.model.layer(op.layer).n_kv_heads;
  const double kv = 1.0 / std::min(p.tp, std::max(kv_heads, 1));
  switch (split_of(graph, op)) {
    case Split::None:
      return {};
    case Split::Width:
      return {.work = 1.0 / p.tp, .cache = op.kind == OpKind::Attention ? kv : 1.0 / p.tp};
    case Split::KvHeads:
      return {.work = kv, .cache = kv};
    case Split::Experts:
      return {.work = 1.0 / std::max(p.tp, p.ep), .cache = 1};
  }
  std::abort();
}

// n of N experts on m boxes: a box has n / m of them on average; the busiest, for hypergeometric
// counts taken as normal with their mutual correlation -1 / (m - 1), c(m) sqrt(n / m (N-n) / (N-1))
// more, but no more than it holds.
double expert_share(const Parallel& p, int n_experts, double n_touched) {
  CHECK(n_touched > 0 && n_touched <= n_experts);
  const double m = p.ep, n = n_touched, all = n_experts;
  const double within = p.tp > p.ep ? static_cast<double>(p.tp) / p.ep : 1;  // each expert's width
  if (p.ep == 1) return 1 / within;
  const double spread = std::sqrt(n / m * (all - n) / (all - 1));
  const double most = std::min({n / m + expected_maximum(p.ep) * spread, n, all / m});
  return most / n / within;
}

Work on_box(const Work& work, const OpShares& shares) {
  Work box = work;
  box.matmul *= shares.work;
  box.vector *= shares.work;
  box.weights *= shares.work;
  box.activations *= shares.work;
  box.kv_read *= shares.cache;
  box.kv_write *= shares.cache;
  return box;
}

BoxShares box_shares(const Graph& graph, const Parallel& p) {
  constexpr int kFirst = 1, kLast = 2;  // stages that hold a weight outside the layers
  std::vector<double> share(graph.values.size(), 1);
  std::vector<int> stages(graph.values.size(), 0);
  double cache = 0, cache_on_box = 0;
  for (const Op& op : graph.ops) {
    const OpShares shares = shares_of(graph, op, p);
    if (op.kind == OpKind::KvStore) {
      const double bytes = kv_row_bytes(op.at, graph.kv_dtype);
      cache += bytes;
      cache_on_box += bytes * shares.cache;
    }
    for (const ValueId id : op.in) {
      if (id == kNoValue) continue;
      share[static_cast<std::size_t>(id)] = shares.work;
      stages[static_cast<std::size_t>(id)] |= op.kind == OpKind::Embed ? kFirst : kLast;
    }
  }
  double whole = 0, layers = 0, first = 0, last = 0, outside = 0;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& v = graph.values[i];
    if (v.role != Role::Weight) continue;
    const double bytes = static_cast<double>(v.rows) * dtype_bytes(v.dtype, static_cast<double>(v.cols));
    whole += bytes;
    if (v.name.starts_with("blk.")) {
      layers += bytes * share[i];
      continue;
    }
    outside += bytes * share[i];
    if ((stages[i] & kFirst) != 0) first += bytes * share[i];
    if ((stages[i] & kLast) != 0) last += bytes * share[i];
  }
  const double stage = stage_share(graph.model, p.pp);
  const double held = layers * stage + (p.pp == 1 ? outside : std::max(first, last));
  return {.weights = whole > 0 ? held / whole : 1,
          .kv = cache > 0 ? cache_on_box / cache * stage / p.ranks() : 1,
          .state = stage / (p.tp * p.ranks())};
}

}  // namespace tinderbox

#include "engine/kernels/attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// After highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/float_bits.h"

HWY_BEFORE_NAMESPACE();
namespace tinderbox {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, kKeyTile>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kVectors = kKeyTile / kLanes;  // of a tile's keys

// Below any score, and far enough from the limit that differences stay finite.
constexpr float kLowest = -1e38f;

// The scratch memory of one task.
struct Scratch {
  std::int64_t stride;  // head_dim, rounded up to whole registers
  float* keys;          // (head_dim, kKeyTile)
  float* values;        // (kKeyTile, stride)
  float* sums;          // (queries, stride): sum of p v so far
  float* largest;       // (queries): largest score so far
  float* total;         // (queries): sum of p so far
};

Scratch Divide(float* memory, int head_dim) {
  Scratch s{};
  s.stride = (head_dim + kKeyTile - 1) / kKeyTile * kKeyTile;
  s.keys = memory;
  s.values = s.keys + s.stride * kKeyTile;
  s.sums = s.values + s.stride * kKeyTile;
  s.largest = s.sums + s.stride * kTaskQueries;
  s.total = s.largest + kTaskQueries;
  return s;
}

HWY_INLINE void ConvertHalves(const std::uint16_t* from, int n, float* to) {
  const D d;
  const hn::Rebind<hwy::float16_t, D> dh;
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto* p = reinterpret_cast<const hwy::float16_t*>(from + i);
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(dh, p)), d, to + i);
  }
  for (; i < n; ++i) to[i] = f16_to_f32(from[i]);
}

// Keys and values of positions [first, last) of one tile that begins at `tile`, as floats.
void LoadTile(const AttentionTask& task, std::int64_t tile, std::int64_t last, const Scratch& s) {
  const KvLayer& kv = task.kv;
  const std::int64_t block_values = std::int64_t{kv.block_tokens} * kv.head_dim;
  const auto base = [&](std::int64_t position) {
    const auto block =
        std::int64_t{task.blocks[static_cast<std::size_t>(position / kv.block_tokens)]};
    return (block * kv.n_kv_heads + task.kv_head) * block_values;
  };
  if (kv.block_tokens % kKeyTile == 0) {
    const std::uint16_t* k = kv.k + base(tile) + tile % kv.block_tokens;
    for (int i = 0; i < kv.head_dim; ++i) {
      ConvertHalves(k + std::int64_t{i} * kv.block_tokens, kKeyTile, s.keys + i * kKeyTile);
    }
  } else {
    for (std::int64_t p = tile; p < last; ++p) {
      const std::uint16_t* k = kv.k + base(p) + p % kv.block_tokens;
      for (int i = 0; i < kv.head_dim; ++i) {
        s.keys[i * kKeyTile + (p - tile)] = f16_to_f32(k[std::int64_t{i} * kv.block_tokens]);
      }
    }
  }
  for (std::int64_t p = tile; p < last; ++p) {
    const std::uint16_t* v = kv.v + base(p) + p % kv.block_tokens * kv.head_dim;
    ConvertHalves(v, kv.head_dim, s.values + (p - tile) * s.stride);
  }
}

// Scores of kQueries queries with the tile's keys, then p = exp(score - largest) of keys [begin,
// end); the others get 0. Updates largest and total; corrections receive the factors for what was
// summed before.
template <int kQueries>
HWY_INLINE void Weigh(const Query* queries, int head_dim, int begin, int end, const Scratch& s,
                      std::size_t first, float* HWY_RESTRICT p, float* HWY_RESTRICT corrections) {
  const D d;
  V score[kQueries * kVectors];
  for (auto& v : score) v = hn::Zero(d);
  for (int i = 0; i < head_dim; ++i) {
    V key[kVectors];
    for (int v = 0; v < kVectors; ++v) key[v] = hn::Load(d, s.keys + i * kKeyTile + v * kLanes);
    for (int q = 0; q < kQueries; ++q) {
      const V qi = hn::Set(d, queries[q].q[i]);
      for (int v = 0; v < kVectors; ++v) {
        score[q * kVectors + v] = hn::MulAdd(key[v], qi, score[q * kVectors + v]);
      }
    }
  }
  const V from = hn::Set(d, static_cast<float>(begin)), to = hn::Set(d, static_cast<float>(end));
  for (int q = 0; q < kQueries; ++q) {
    V* row = score + q * kVectors;
    V top = hn::Set(d, kLowest);
    for (int v = 0; v < kVectors; ++v) {
      const V key = hn::Iota(d, static_cast<float>(v * kLanes));
      const auto visible = hn::And(hn::Ge(key, from), hn::Lt(key, to));
      row[v] = hn::IfThenElse(visible, hn::Mul(row[v], hn::Set(d, queries[q].scale)),
                              hn::Set(d, kLowest));
      top = hn::Max(top, row[v]);
    }
    const std::size_t index = first + static_cast<std::size_t>(q);
    const float before = s.largest[index];
    const float largest = std::max(before, hn::GetLane(hn::MaxOfLanes(d, top)));
    V sum = hn::Zero(d);
    for (int v = 0; v < kVectors; ++v) {
      const V key = hn::Iota(d, static_cast<float>(v * kLanes));
      const auto visible = hn::And(hn::Ge(key, from), hn::Lt(key, to));
      const V e = hn::IfThenElseZero(visible, hn::Exp(d, hn::Sub(row[v], hn::Set(d, largest))));
      sum = hn::Add(sum, e);
      hn::StoreU(e, d, p + q * kKeyTile + v * kLanes);
    }
    corrections[q] = hn::GetLane(hn::Exp(d, hn::Set(d, before - largest)));
    s.total[index] = s.total[index] * corrections[q] + hn::GetLane(hn::SumOfLanes(d, sum));
    s.largest[index] = largest;
  }
}

// sums = sums * correction + sum of p v over keys [begin, end), kWide registers of dimensions at a
// time.
template <int kQueries, int kWide>
HWY_INLINE void Mix(const Scratch& s, std::size_t first, std::int64_t dim, int begin, int end,
                    const float* HWY_RESTRICT p, const float* HWY_RESTRICT corrections) {
  const D d;
  V acc[kQueries * kWide];
  for (int q = 0; q < kQueries; ++q) {
    const float* sums =
        s.sums + static_cast<std::int64_t>(first + static_cast<std::size_t>(q)) * s.stride + dim;
    for (int w = 0; w < kWide; ++w) {
      acc[q * kWide + w] = hn::Mul(hn::Load(d, sums + w * kLanes), hn::Set(d, corrections[q]));
    }
  }
  for (int t = begin; t < end; ++t) {
    V value[kWide];
    for (int w = 0; w < kWide; ++w)
      value[w] = hn::Load(d, s.values + t * s.stride + dim + w * kLanes);
    for (int q = 0; q < kQueries; ++q) {
      const V weight = hn::Set(d, p[q * kKeyTile + t]);
      for (int w = 0; w < kWide; ++w)
        acc[q * kWide + w] = hn::MulAdd(weight, value[w], acc[q * kWide + w]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    float* sums =
        s.sums + static_cast<std::int64_t>(first + static_cast<std::size_t>(q)) * s.stride + dim;
    for (int w = 0; w < kWide; ++w) hn::Store(acc[q * kWide + w], d, sums + w * kLanes);
  }
}

// Keys [begin, end) of the tile, for queries that all see exactly these.
template <int kQueries>
void Attend(const AttentionTask& task, const Scratch& s, std::size_t first, int begin, int end) {
  HWY_ALIGN float p[kQueries * kKeyTile];
  float corrections[kQueries];
  Weigh<kQueries>(&task.queries[first], task.kv.head_dim, begin, end, s, first, p, corrections);
  constexpr int kWide = kKeyTile / kLanes < 2 ? 1 : 2;  // the stride is a multiple of kKeyTile
  for (std::int64_t dim = 0; dim < s.stride; dim += kWide * kLanes) {
    Mix<kQueries, kWide>(s, first, dim, begin, end, p, corrections);
  }
}

// The keys of a tile that a query sees, relative to the tile's first.
struct KeyRange {
  int begin, end;
};
KeyRange Visible(const AttentionTask& task, const Query& query, std::int64_t tile) {
  const std::int64_t lowest = task.window > 0 ? query.position + 1 - task.window : 0;
  const auto clip = [](std::int64_t x) {
    return static_cast<int>(std::clamp<std::int64_t>(x, 0, kKeyTile));
  };
  return {clip(lowest - tile), clip(query.position + 1 - tile)};
}

// Whether queries [i, i + n) all see the whole tile.
bool SeeAll(const AttentionTask& task, std::size_t i, std::size_t n, std::int64_t tile) {
  if (i + n > task.queries.size()) return false;
  return std::ranges::all_of(task.queries.subspan(i, n), [&](const Query& query) {
    const KeyRange r = Visible(task, query, tile);
    return r.begin == 0 && r.end == kKeyTile;
  });
}

void VisitTile(const AttentionTask& task, const Scratch& s, std::int64_t tile) {
  // As many sums at once as hide the latency of a multiply-add.
  constexpr std::size_t kFew = 4, kMany = std::max(4, 8 / kVectors);
  std::size_t i = 0;
  while (i < task.queries.size()) {
    if (kMany > kFew && SeeAll(task, i, kMany, tile)) {
      Attend<kMany>(task, s, i, 0, kKeyTile);
      i += kMany;
    } else if (SeeAll(task, i, kFew, tile)) {
      Attend<kFew>(task, s, i, 0, kKeyTile);
      i += kFew;
    } else {
      const KeyRange r = Visible(task, task.queries[i], tile);
      if (r.begin < r.end) Attend<1>(task, s, i, r.begin, r.end);
      ++i;
    }
  }
}

void Attention(const AttentionTask& task, float* memory) {
  const Scratch s = Divide(memory, task.kv.head_dim);
  const auto n = static_cast<std::int64_t>(task.queries.size());
  std::fill_n(s.sums, n * s.stride, 0.0f);
  for (std::int64_t i = 0; i < n; ++i) {
    // The sink is a key with a zero value, seen first.
    s.largest[i] = task.sinks ? task.queries[static_cast<std::size_t>(i)].sink : kLowest;
    s.total[i] = task.sinks ? 1.0f : 0.0f;
  }
  const std::int64_t n_keys = task.queries.back().position + 1;
  const std::int64_t lowest =
      task.window > 0 ? std::max<std::int64_t>(0, task.queries.front().position + 1 - task.window)
                      : 0;
  for (std::int64_t tile = lowest / kKeyTile * kKeyTile; tile < n_keys; tile += kKeyTile) {
    LoadTile(task, tile, std::min(n_keys, tile + kKeyTile), s);
    VisitTile(task, s, tile);
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const float scale = 1.0f / s.total[i];
    float* out = task.queries[static_cast<std::size_t>(i)].out;
    for (int k = 0; k < task.kv.head_dim; ++k) out[k] = s.sums[i * s.stride + k] * scale;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tinderbox
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tinderbox {

HWY_EXPORT(Attention);

std::size_t attention_scratch_floats(int head_dim) {
  const int stride = (head_dim + kKeyTile - 1) / kKeyTile * kKeyTile;
  return static_cast<std::size_t>(stride * (2 * kKeyTile + kTaskQueries) + 2 * kTaskQueries);
}

void attention(const AttentionTask& task, float* scratch) {
  CHECK(!task.queries.empty() && task.queries.size() <= static_cast<std::size_t>(kTaskQueries));
  HWY_DYNAMIC_DISPATCH(Attention)(task, scratch);
}

}  // namespace tinderbox
#endif

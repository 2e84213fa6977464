#include "engine/execute.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "engine/dequantise.h"
#include "engine/kernels/vector_ops.h"
#include "model/rope.h"

namespace tinderbox {

namespace {

// Floats of row-wise work below which a second thread costs more than it saves (about 5 us).
constexpr std::int64_t kParallelFloats = 16384;

// The bytes of the largest quantised input of a matrix product.
std::size_t prepared_bytes(const Graph& graph) {
  std::size_t most = 0;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::MatMul && op.kind != OpKind::MoeMatMul) continue;
    const Value& x = graph.values[static_cast<std::size_t>(op.in[0])];
    most = std::max(most, static_cast<std::size_t>(x.rows) * prepared_row_bytes(true, x.cols));
  }
  return most;
}

}  // namespace

Execution::Execution(const Graph& largest, const Weights& weights, KvStore& kv, ThreadPool& pool)
    : weights_(weights),
      kv_(kv),
      pool_(pool),
      arena_(largest),
      scratch_floats_((attention_scratch_floats(largest.model.head_dim) + 15) / 16 * 16),
      frequencies_(rope_frequencies(largest.model.rope)),
      rope_factor_(rope_attention_factor(largest.model.rope)) {
  const std::size_t scratch = scratch_floats_ * static_cast<std::size_t>(pool.n_threads());
  prepared_ = hwy::AllocateAligned<std::byte>(prepared_bytes(largest) + 64);
  scratch_ = hwy::AllocateAligned<float>(scratch);
  if (prepared_ == nullptr || scratch_ == nullptr)
    throw_too_large("no memory for activations; ask for smaller steps");
  std::fill_n(scratch_.get(), scratch, 0.0f);
  const auto rotations = static_cast<std::size_t>(largest.n_tokens) * frequencies_.size();
  cosine_.resize(rotations);
  sine_.resize(rotations);
  rows_.reserve(static_cast<std::size_t>(largest.n_tokens));
}

std::span<const float> Execution::run(const Graph& graph, std::span<const EngineItem> items) {
  graph_ = &graph;
  items_ = items;
  prepared_value_ = kNoValue;
  rows_.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t t = 0; t < items[i].tokens.size(); ++t) {
      rows_.push_back({items[i].tokens[t], static_cast<std::int32_t>(i),
                       items[i].n_past + static_cast<std::int64_t>(t)});
    }
  }
  CHECK(static_cast<std::int64_t>(rows_.size()) == graph.n_tokens);
  prepare_rotations();
  for (const Op& op : graph.ops) execute(op);
  if (graph.logits == kNoValue) return {};
  const Value& logits = value(graph.logits);
  return {data(graph.logits), static_cast<std::size_t>(logits.rows * logits.cols)};
}

std::span<const float> Execution::hidden() const {
  if (graph_ == nullptr || graph_->logits == kNoValue) return {};
  const Op& head = graph_->ops.back();  // nothing has come over its input since
  CHECK(head.out == graph_->logits);
  const Value& x = value(head.in.front());
  return {data(head.in.front()), static_cast<std::size_t>(x.rows * x.cols)};
}

void Execution::execute(const Op& op) {
  switch (op.kind) {
    case OpKind::Embed:
      embed(op);
      break;
    case OpKind::RmsNorm:
      rms_norm(op);
      break;
    case OpKind::MatMul:
      mat_mul(op);
      break;
    case OpKind::Rope:
      rope(op);
      break;
    case OpKind::KvStore:
      kv_store(op);
      break;
    case OpKind::Attention:
      attention(op);
      break;
    case OpKind::Glu:
      glu(op);
      break;
    case OpKind::Add:
      add(op);
      break;
    case OpKind::MoeRoute:
      moe_route(op);
      break;
    case OpKind::MoeMatMul:
      moe_mat_mul(op);
      break;
    case OpKind::MoeCombine:
      moe_combine(op);
      break;
    case OpKind::SelectRows:
      select_rows(op);
      break;
    case OpKind::LayerNorm:
    case OpKind::PoolStore:
    case OpKind::Select:
    case OpKind::Dot:
    case OpKind::StreamGates:
    case OpKind::StreamRead:
    case OpKind::StreamWrite:
    case OpKind::BlockMatMul:
    case OpKind::Conv:
    case OpKind::Scan:
    case OpKind::Scale:
    case OpKind::Slice:
      CHECK(runs(op, graph_->model));  // Engine refuses models that need it
      break;
  }
}

bool Execution::runs(const Op& op, const ModelConfig& model) {
  const OpAttributes& at = op.at;
  const bool plain = at.scale == 1.0 && at.softcap == 0.0;
  switch (op.kind) {
    case OpKind::Embed:
    case OpKind::Add:
      return plain && at.n_used == 0 && !at.positions;
    case OpKind::RmsNorm:
      return op.in[1] != kNoValue;
    case OpKind::MatMul:
    case OpKind::MoeMatMul:
    case OpKind::MoeCombine:
    case OpKind::SelectRows:
      return true;
    case OpKind::Rope:
      return at.rope == LayerRope::Global && at.width == model.head_dim && at.begin == 0 && !at.inverse;
    case OpKind::KvStore:
    case OpKind::Attention:
      return !at.latent && at.qk_dim == model.head_dim && at.v_dim == model.head_dim &&
             at.n_kv_heads == model.n_kv_heads && at.softcap == 0.0 && model.layers.empty();
    case OpKind::Glu:
      return op.in[1] != kNoValue && at.activation == model.activation;
    case OpKind::MoeRoute:
      return at.routing == Routing{} && op.in[1] == kNoValue && op.in[2] == kNoValue;
    case OpKind::LayerNorm:
    case OpKind::PoolStore:
    case OpKind::Select:
    case OpKind::Dot:
    case OpKind::StreamGates:
    case OpKind::StreamRead:
    case OpKind::StreamWrite:
    case OpKind::BlockMatMul:
    case OpKind::Conv:
    case OpKind::Scan:
    case OpKind::Scale:
    case OpKind::Slice:
      return false;
  }
  std::abort();
}

template <typename Body>
void Execution::each_row(std::int64_t n, std::int64_t cols, Body body) {
  const auto grain = static_cast<std::size_t>(
      std::max<std::int64_t>(1, kParallelFloats / std::max<std::int64_t>(1, cols)));
  pool_.parallel_for(static_cast<std::size_t>(n), grain,
                     [&](std::size_t begin, std::size_t end, int) {
                       for (std::size_t i = begin; i < end; ++i) body(static_cast<std::int64_t>(i));
                     });
}

void Execution::embed(const Op& op) {
  const TensorView& table = *weight(op.in[0]).table;
  const std::int64_t cols = table.cols;
  const std::size_t stride = row_bytes(table.dtype, cols);
  float* out = data(op.out);
  each_row(graph_->n_tokens, cols, [&](std::int64_t t) {
    const auto token = static_cast<std::size_t>(rows_[static_cast<std::size_t>(t)].token);
    dequantise_row(table.dtype, table.data.data() + token * stride,
                   {out + t * cols, static_cast<std::size_t>(cols)});
  });
}

void Execution::rms_norm(const Op& op) {
  const std::vector<float>& w = weight(op.in[1]).values;
  const Value& v = value(op.out);
  const auto width = static_cast<std::int64_t>(w.size());
  const float* x = data(op.in[0]);
  float* out = data(op.out);
  const auto eps = static_cast<float>(graph_->model.norm_eps);
  each_row(v.rows, v.cols, [&](std::int64_t t) {
    for (std::int64_t i = t * v.cols; i < (t + 1) * v.cols; i += width) {
      tinderbox::rms_norm(x + i, w.data(), eps, width, out + i);
    }
  });
}

void Execution::glu(const Op& op) {
  const Value& v = value(op.out);
  const float *gate = data(op.in[0]), *up = data(op.in[1]);
  float* out = data(op.out);
  each_row(v.rows, v.cols * 4, [&](std::int64_t t) {
    tinderbox::glu(graph_->model.activation, gate + t * v.cols, up + t * v.cols, v.cols,
                   out + t * v.cols);
  });
}

void Execution::add(const Op& op) {
  const Value& v = value(op.out);
  const float *a = data(op.in[0]), *b = data(op.in[1]);
  float* out = data(op.out);
  each_row(v.rows, v.cols, [&](std::int64_t t) {
    tinderbox::add(a + t * v.cols, b + t * v.cols, v.cols, out + t * v.cols);
  });
}

void Execution::select_rows(const Op& op) {
  const std::int64_t cols = value(op.out).cols;
  const float* x = data(op.in[0]);
  float* out = data(op.out);
  std::int64_t end = 0;
  for (const Segment& s : graph_->segments) {
    end += s.n_new;
    if (!s.samples) continue;
    std::memcpy(out, x + (end - 1) * cols, static_cast<std::size_t>(cols) * sizeof(float));
    out += cols;
  }
}

void Execution::prepare_rotations() {
  const std::size_t pairs = frequencies_.size();
  each_row(graph_->n_tokens, static_cast<std::int64_t>(pairs) * 16, [&](std::int64_t t) {
    const auto position = static_cast<double>(rows_[static_cast<std::size_t>(t)].position);
    for (std::size_t i = 0; i < pairs; ++i) {
      const std::size_t at = static_cast<std::size_t>(t) * pairs + i;
      cosine_[at] = static_cast<float>(std::cos(position * frequencies_[i]) * rope_factor_);
      sine_[at] = static_cast<float>(std::sin(position * frequencies_[i]) * rope_factor_);
    }
  });
}

void Execution::rope(const Op& op) {
  const Value& v = value(op.out);
  const ModelConfig& m = graph_->model;
  const auto pairs = static_cast<std::int64_t>(frequencies_.size());
  const float* x = data(op.in[0]);
  float* out = data(op.out);
  each_row(v.rows, v.cols, [&](std::int64_t t) {
    const RopeRow row{cosine_.data() + t * pairs,
                      sine_.data() + t * pairs,
                      static_cast<int>(2 * pairs),
                      m.head_dim,
                      static_cast<int>(v.cols / m.head_dim),
                      m.rope.interleaved};
    tinderbox::rope(row, x + t * v.cols, out + t * v.cols);
  });
}

void Execution::kv_store(const Op& op) {
  const std::int64_t cols = value(op.in[0]).cols;
  const float *k = data(op.in[0]), *v = data(op.in[1]);
  each_row(graph_->n_tokens, cols * 4, [&](std::int64_t t) {
    const Row& row = rows_[static_cast<std::size_t>(t)];
    const std::int64_t block = row.position / kv_.block_tokens(),
                       slot = row.position % kv_.block_tokens();
    const std::int32_t id =
        items_[static_cast<std::size_t>(row.item)].blocks[static_cast<std::size_t>(block)];
    kv_.write(op.layer, id, static_cast<std::int32_t>(slot), k + t * cols, v + t * cols);
  });
}

// Tasks share the conversion of a tile among many queries in a prefill and keep every thread busy
// in a decode step.
std::int64_t Execution::queries_per_task() const {
  const std::int64_t queries = graph_->n_tokens * graph_->model.n_heads;
  return std::clamp<std::int64_t>(queries / (4 * pool_.n_threads()), 1, kTaskQueries);
}

void Execution::attention(const Op& op) {
  const ModelConfig& m = graph_->model;
  const std::int64_t group = m.n_heads / m.n_kv_heads, per_task = queries_per_task();
  const float* sinks = op.in[1] == kNoValue ? nullptr : weight(op.in[1]).values.data();
  const float* q = data(op.in[0]);
  float* out = data(op.out);
  const KvLayer layer = kv_.layer(op.layer);
  queries_.clear();
  tasks_.clear();
  queries_.reserve(rows_.size() * static_cast<std::size_t>(m.n_heads));  // spans into it stay valid
  std::int64_t first = 0;
  for (const EngineItem& item : items_) {
    const auto n_new = static_cast<std::int64_t>(item.tokens.size());
    for (std::int64_t h = 0; h < m.n_kv_heads; ++h) {
      for (std::int64_t i = 0; i < n_new * group; ++i) {
        const std::int64_t row = first + i / group, head = h * group + i % group;
        const std::int64_t at = row * m.q_dim() + head * m.head_dim,
                           position = item.n_past + i / group;
        queries_.push_back({q + at, out + at, position,
                            static_cast<float>(attention_scale(m, position)),
                            sinks == nullptr ? 0.0f : sinks[head]});
        if (i % per_task == 0) {
          tasks_.push_back({layer,
                            item.blocks,
                            static_cast<int>(h),
                            op.at.window,
                            sinks != nullptr,
                            {&queries_.back(), 1}});
        } else {
          AttentionTask& task = tasks_.back();
          task.queries = {task.queries.data(), task.queries.size() + 1};
        }
      }
    }
    first += n_new;
  }
  // Later queries see more keys: dealing tasks out in turn gives every worker early and late ones.
  const auto n_workers = static_cast<std::size_t>(pool_.n_threads());
  pool_.parallel_for(n_workers, 1, [&](std::size_t begin, std::size_t end, int worker) {
    float* scratch = scratch_.get() + static_cast<std::size_t>(worker) * scratch_floats_;
    for (std::size_t w = begin; w < end; ++w) {
      for (std::size_t i = w; i < tasks_.size(); i += n_workers)
        tinderbox::attention(tasks_[i], scratch);
    }
  });
}

}  // namespace tinderbox

// Families whose attention reads selected or pooled rows: DeepSeek V3.2 and V4, GLM 5, Qwen3.8 Flash Next.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "model/config_fields.h"

namespace tinderbox::config {
namespace {

constexpr int kTopKMax = 1 << 20, kRatioMax = 1 << 16, kStreamsMax = 64, kIterationsMax = 1000;
constexpr std::int64_t kRowsMax = std::int64_t{1} << 40;

// The lightning indexer of DeepSeek-V3.2 and its heirs.
void read_index(const Fields& f, ModelConfig& m) {
  m.index.n_heads = f.required("index_n_heads", 1, kHeadsMax);
  m.index.head_dim = f.required("index_head_dim", 2, kHeadDimMax);
  m.index.top_k = f.required("index_topk", 1, kTopKMax);
  if (m.latent.qk_rope > m.index.head_dim) {
    f.fail("qk_rope_head_dim", format("at most the index's {}", m.index.head_dim));
  }
  m.index.key_bias = true;
}

void read_sinkhorn_streams(const Fields& f, ModelConfig& m) {
  m.streams.n = f.required("hc_mult", 2, kStreamsMax);
  m.streams.iterations = f.required("hc_sinkhorn_iters", 1, kIterationsMax);
}

// Layers that take the selection of the last earlier one with an indexer of its own.
void share_selections(const std::vector<bool>& selects, ModelConfig& m) {
  int source = -1;
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig& layer = m.layers[static_cast<std::size_t>(i)];
    if (!layer.sparse) continue;
    if (selects[static_cast<std::size_t>(i)] || source < 0) {
      source = i;
    } else {
      layer.index_layer = source;
    }
  }
}

}  // namespace

// DeepSeek-V3.2, GLM 5 (glm_moe_dsa): every layer latent and sparse; GLM's with "shared" take an earlier selection.
void read_sparse_latent(const Fields& f, ModelConfig& m) {
  read_deepseek(f, m);
  read_index(f, m);
  const auto n = static_cast<std::size_t>(m.n_layers);
  std::vector<bool> selects(n, true);
  if (const auto types = f.texts("indexer_types", n)) {
    for (std::size_t i = 0; i < n; ++i) selects[i] = (*types)[i] == "full";
  }
  for (LayerConfig& layer : m.layers) layer.sparse = true;
  share_selections(selects, m);
}

// GLM-5.3-Flash: Kimi Delta Attention and sparse latent attention without positions, over streams.
void read_glm5_next(const Fields& f, ModelConfig& m) {
  read_deepseek(f, m);
  read_index(f, m);
  // `index_topk` counts tokens; keys are pooled and pools selected whole.
  m.index.ratio = m.index.block = f.integer("index_kpool", 1, kRatioMax).value_or(1);
  m.index.top_k = std::max(1, m.index.top_k / m.index.ratio);
  m.index.gates = f.boolean("index_kpool_compress").value_or(false) && m.index.ratio > 1;
  if (f.boolean("mhc").value_or(true)) read_sinkhorn_streams(f, m);
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto types = f.texts("layer_types", n);
  if (!types) f.fail("layer_types", format("{} texts, one a layer", n));
  const auto linear = f.object("linear_attn_config");
  if (!linear) f.fail("linear_attn_config", "an object");
  read_kimi_delta(*linear, m);
  m.linear.decay_rank = m.linear.gate_rank = m.linear.k_dim;
  for (std::size_t i = 0; i < n; ++i) {
    LayerConfig& layer = m.layers[i];
    if ((*types)[i] == "linear_attention") {
      layer.mixer = Mixer::KimiDelta;
    } else if ((*types)[i] == "deepseek_sparse_attention") {
      layer.sparse = true;
    } else {
      f.fail("layer_types", "only linear_attention and deepseek_sparse_attention");
    }
  }
}

// Heads and kernel of KDA; rank 0 of decay and gate until a family says otherwise.
void read_kimi_delta(const Fields& f, ModelConfig& m) {
  LinearConfig& c = m.linear;
  c.n_k_heads = c.n_v_heads = f.required("num_heads", 1, kHeadsMax);
  c.k_dim = c.v_dim = f.required("head_dim", 1, kHeadDimMax);
  c.conv_kernel = f.required("short_conv_kernel_size", 1, kConvMax);
}

namespace {

// What V4 and V4.1 have in common. The list of ratios goes on with the layers that predict further tokens.
std::vector<int> read_v4_shape(const Fields& f, ModelConfig& m) {
  read_experts(f, "n_routed_experts", "moe_intermediate_size", m);
  read_routing(f, m);
  read_shared_experts(f, m);
  LatentConfig& c = m.latent;
  c.q_lora = f.required("q_lora_rank", 1, kWidthMax);
  c.kv_lora = c.v_dim = m.head_dim;
  c.qk_rope = f.required("qk_rope_head_dim", 0, m.head_dim);
  if (c.qk_rope % 2 != 0) f.fail("qk_rope_head_dim", "an even width");
  c.o_groups = f.required("o_groups", 1, m.n_heads);
  if (m.n_heads % c.o_groups != 0) f.fail("o_groups", format("a divisor of {} heads", m.n_heads));
  c.o_lora = f.required("o_lora_rank", 1, kWidthMax);
  m.attn_sinks = true;
  read_index(f, m);
  m.index.key_bias = false;
  read_sinkhorn_streams(f, m);
  const int window = f.required("sliding_window", 1, kContextMax);
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto ratios = f.indices("compress_ratios", kLayersMax, kRatioMax);
  if (!ratios || ratios->size() < n) {
    f.fail("compress_ratios", format("at least {} whole numbers", n));
  }
  for (std::size_t i = 0; i < n; ++i) {
    LayerConfig layer = plain_layer(m);
    layer.mixer = Mixer::Pooled;
    layer.window = window;
    layer.ratio = (*ratios)[i];
    // Layers without far rows turn as read_ropes' local rotation, the others as `compress_rope_theta` says.
    layer.rope = layer.ratio == 0 ? LayerRope::Local : LayerRope::Global;
    if (c.qk_rope == 0) layer.rope = LayerRope::None;
    m.layers.push_back(layer);
  }
  return *ratios;
}

bool contains(const std::vector<int>& list, int i) {
  return std::ranges::find(list, i) != list.end();
}

}  // namespace

// Rows of 4 tokens are selected, rows of 128 all read (CSA and HCA of the paper). The first layers route by a table
// of tokens instead of scores, which is the same work.
void read_deepseek_v4(const Fields& f, ModelConfig& m) {
  read_v4_shape(f, m);
  m.latent.pool_bias = m.index.gates = m.streams.head = true;
  constexpr int kSelectedRatio = 4;
  for (LayerConfig& layer : m.layers) layer.sparse = layer.ratio == kSelectedRatio;
}

// Rows are pooled and index keys made in a few layers, and read by those that follow. The coarse selection that
// spares later indexes most keys beyond 16 K rows (candidate_source_layer_id) is not modelled: they score all.
void read_deepseek_v41(const Fields& f, ModelConfig& m) {
  read_v4_shape(f, m);
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto sources = f.indices("kv_source_layer_ids", n, m.n_layers);
  const auto indexes = f.indices("index_source_layer_ids", n, m.n_layers);
  if (!sources || !indexes) f.fail("kv_source_layer_ids", "a list of layers, and so index_source_layer_ids");
  int rows = -1, selection = -1;
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig& layer = m.layers[static_cast<std::size_t>(i)];
    if (layer.ratio == 0) continue;
    layer.sparse = true;
    if (contains(*sources, i)) rows = i;
    if (contains(*indexes, i)) selection = i;
    const bool fits = rows >= 0 && selection >= rows &&
                      m.layers[static_cast<std::size_t>(rows)].ratio == layer.ratio;
    if (!fits) f.fail("kv_source_layer_ids", format("a source with an index for layer {}", i));
    if (rows != i) layer.pool_layer = layer.keys_layer = rows;
    if (selection != i) layer.index_layer = selection;
  }
  NgramConfig& c = m.ngrams;
  const auto tables = f.indices("engram_layer_ids", n, m.n_layers);
  if (!tables || tables->empty()) return;
  const auto n_rows = f.numbers("engram_num_embeddings", tables->size(), 1, kRowsMax);
  for (std::size_t i = 0; i < tables->size(); ++i) {
    c.tables.push_back({(*tables)[i], static_cast<std::int64_t>(n_rows[i])});
  }
  c.width = f.required("engram_head_dim", 1, kWidthMax);
  c.n_lookups = f.required("engram_n_heads", 1, kHeadsMax) *
                (f.required("engram_max_ngram_size", 2, 64) - 1);
}

// Qwen3.8 Flash Next: the hybrids' layers, sparse where they attend, over streams; a table of n-grams.
void read_qwen4_exp(const Fields& f, ModelConfig& m) {
  read_qwen_hybrid(f, m);
  IndexConfig& index = m.index;
  index.kind = IndexConfig::Kind::Plain;
  index.n_heads = f.required("indexer_n_heads", 1, kHeadsMax);
  index.head_dim = f.required("indexer_head_dim", 2, kHeadDimMax);
  index.ratio = index.block = f.required("indexer_compress_ratio", 1, kRatioMax);
  index.top_k = std::max(1, f.required("indexer_budget", 1, kTopKMax) / index.block);
  for (LayerConfig& layer : m.layers) layer.sparse = layer.mixer == Mixer::Attention;
  m.streams.kind = StreamConfig::Kind::LowRank;
  m.streams.n = f.required("hc_count", 2, kStreamsMax);
  m.streams.lowrank = f.required("hc_lowrank", 1, kWidthMax);
  const auto layers =
      f.indices("ple_layer_ids", static_cast<std::size_t>(m.n_layers), m.n_layers);
  if (!layers || layers->empty()) return;
  NgramConfig& c = m.ngrams;
  c.n_lookups = f.required("heads_per_ngram", 1, kHeadsMax) * (f.required("ngram_size", 2, 64) - 1);
  c.width = f.required("ple_embed_dim", c.n_lookups, kWidthMax) / c.n_lookups;
  c.conv_kernel = f.required("ple_conv_kernel_size", 1, kConvMax);
  // Each lookup has rows of its own, as many as the next prime; the sum is padded.
  const auto base = static_cast<std::int64_t>(f.required("ngram_vocab_size_base", 1, kContextMax));
  for (const int layer : *layers) c.tables.push_back({layer, base * c.n_lookups});
}

}  // namespace tinderbox::config

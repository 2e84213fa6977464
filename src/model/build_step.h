// Inside of build_step: the state of a graph under construction and one function a block, shared by
// the files that build attention, linear attention and MLPs.
#pragma once

#include <initializer_list>
#include <map>
#include <string_view>

#include "model/graph.h"

namespace tinderbox::build {

class Builder {
 public:
  Builder(Graph& graph, const WeightFormat& weights)
      : graph_(graph), model_(graph.model), weights_(weights) {}

  void build();

 private:
  // (rows, cols) of the weight; its name gets the layer's prefix inside a layer.
  ValueId weight(std::string_view name, WeightClass weight_class, std::int64_t rows,
                 std::int64_t cols);
  ValueId vector(std::string_view name, std::int64_t cols) {
    return weight(name, WeightClass::NormOrBias, 1, cols);
  }
  ValueId activation(std::int64_t rows, std::int64_t cols);
  Op& op(OpKind kind, OpClass op_class, ValueId out, std::initializer_list<ValueId> in);
  // An op whose output has the rows and columns of x.
  Op& like(ValueId x, OpKind kind, OpClass op_class, std::initializer_list<ValueId> in);

  // Groups of `width` columns, 0: all of them; w may be kNoValue.
  ValueId rms_norm(ValueId x, ValueId w, std::int64_t width = 0);
  // The norm with the weight of that name over all columns.
  ValueId norm(ValueId x, std::string_view name);
  // x w^T + b for the matrix "<stem>.weight" (m, k) and, if wanted, "<stem>.bias".
  ValueId linear(ValueId x, std::string_view stem, WeightClass weight_class, std::int64_t m,
                 bool bias = false);
  ValueId block_linear(ValueId x, std::string_view name, std::int32_t n_blocks, std::int64_t m,
                       WeightClass weight_class = WeightClass::Latent);
  ValueId layer_norm(ValueId x, ValueId w, ValueId bias);
  const Rope& rope_of(const LayerConfig& layer) const {
    return layer.rope == LayerRope::Local ? model_.rope_local : model_.rope;
  }
  ValueId rope(ValueId x, const LayerConfig& layer, std::int32_t width);
  ValueId add(ValueId a, ValueId b, double scale = 1.0);
  ValueId glu(Activation activation, ValueId gate, ValueId up);
  ValueId scale(ValueId x, ValueId weight, double factor, double softcap = 0.0);
  // Columns begin ... begin + take of each group of `width`.
  ValueId slice(ValueId x, std::int64_t width, std::int64_t begin, std::int64_t take);
  ValueId conv(ValueId x, std::string_view stem, int kernel, bool bias, Activation activation);
  // x with a short convolution of itself, where the model has those.
  ValueId with_conv(ValueId x, std::string_view stem);

  // build_attention.cc. Each takes the normed input and returns what the residual gains.
  ValueId mixer(ValueId h, const LayerConfig& layer);
  ValueId attention(ValueId h, const LayerConfig& layer);
  ValueId latent_attention(ValueId h, const LayerConfig& layer);
  ValueId distance_bias(ValueId h, const LayerConfig& layer);
  ValueId query_norm(ValueId x, std::string_view name, std::int32_t width);
  // Operands of attention besides the cache.
  struct Attended {
    ValueId q = kNoValue, q_rope = kNoValue, selected = kNoValue, bias = kNoValue;
  };
  ValueId attend(const Attended& in, const LayerConfig& layer, const OpAttributes& at);
  ValueId gated(ValueId h, ValueId mixed, const LayerConfig& layer);
  // build_sparse.cc
  ValueId pooled_attention(ValueId h, const LayerConfig& layer);
  ValueId store_far_rows(ValueId h, const LayerConfig& layer);
  void store_pooled(ValueId x, ValueId gates, ValueId bias, ValueId norm_weight,
                    const OpAttributes& at);
  OpAttributes index_row(const LayerConfig& layer) const;
  void store_index_keys(ValueId h, ValueId row, const LayerConfig& layer);
  ValueId selection(ValueId h, ValueId q_latent, ValueId row, const LayerConfig& layer);
  void select_blocks(ValueId selected, OpAttributes& at) const;
  // build_streams.cc: what a block reads of the residual, and what it needs to write its own part.
  struct Site {
    ValueId streams = kNoValue, read = kNoValue, weights = kNoValue, mixing = kNoValue;
  };
  Site enter(ValueId x, std::string_view site);
  ValueId leave(const Site& site, ValueId y);
  ValueId last_read(ValueId x);
  Site low_rank_site(ValueId x, std::string_view site, bool writes);
  ValueId sinkhorn_gates(ValueId x, std::string_view site, bool all);
  ValueId stream_read(ValueId x, ValueId weights);
  ValueId stream_write(ValueId y, ValueId streams, ValueId weights, ValueId mixing);
  ValueId ngrams(ValueId x);
  ValueId add_ngrams(ValueId x, std::int64_t n_rows);
  // build_linear_attention.cc
  ValueId gated_delta(ValueId h);
  ValueId kimi_delta(ValueId h);
  ValueId short_conv(ValueId h);
  ValueId through_rank(ValueId h, std::string_view stem, int rank, std::int64_t m);
  ValueId mamba2(ValueId h);
  // build_mlp.cc
  ValueId mlp(ValueId h, const LayerConfig& layer);
  ValueId feed_forward(ValueId x, std::string_view suffix, WeightClass weight_class, int d_ff);
  ValueId experts(ValueId x, ValueId router_input);
  ValueId expert_linear(ValueId x, std::string_view stem, std::int64_t m, ValueId routes);
  ValueId dense_and_experts(ValueId x, const LayerConfig& layer);
  // build_step.cc
  ValueId embeddings(ValueId embedding);
  ValueId draft_input(ValueId x);
  ValueId layer(ValueId x);
  ValueId parallel_layer(ValueId x, const LayerConfig& layer);
  ValueId feed_layer(ValueId x, const LayerConfig& layer);
  ValueId block_norm(ValueId x, std::string_view name);
  ValueId post_norm(ValueId y, std::string_view name);
  ValueId layer_embeddings(ValueId x);
  ValueId add_layer_embedding(ValueId x);
  void head(ValueId x, ValueId embedding);

  std::int64_t rows(ValueId v) const { return graph_.values[static_cast<std::size_t>(v)].rows; }
  std::int64_t cols(ValueId v) const { return graph_.values[static_cast<std::size_t>(v)].cols; }

  Graph& graph_;
  const ModelConfig& model_;
  const WeightFormat& weights_;
  std::int32_t layer_ = -1;
  ValueId layer_embeddings_ = kNoValue;  // (T, n_layers * d_layer_embedding)
  std::map<std::int32_t, ValueId> selections_;  // by the layer that selected
};

}  // namespace tinderbox::build

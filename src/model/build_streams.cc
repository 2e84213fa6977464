// Residual streams (hyper-connections) in place of one residual, and tables of n-grams that feed them.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/build_step.h"

namespace tinderbox::build {

ValueId Builder::stream_read(ValueId x, ValueId weights) {
  const std::int32_t n = model_.streams.n;
  Op& read = op(OpKind::StreamRead, OpClass::Elementwise, activation(rows(x), cols(x) / n),
                {x, weights});
  read.at.n_streams = n;
  return read.out;
}

ValueId Builder::stream_write(ValueId y, ValueId streams, ValueId weights, ValueId mixing) {
  const std::int32_t n = model_.streams.n;
  Op& write = op(OpKind::StreamWrite, OpClass::Elementwise, activation(rows(y), n * cols(y)),
                 {y, streams, weights, mixing});
  write.at.n_streams = n;
  return write.out;
}

// Weights of the streams from the streams themselves: n to read with, or with `all` also n to write with and n by
// n to mix with. Few numbers in wide formats, as routers have them.
ValueId Builder::sinkhorn_gates(ValueId x, std::string_view site, bool all) {
  const std::int32_t n = model_.streams.n;
  const std::int64_t m = all ? (2 + n) * n : n;
  const ValueId normed = rms_norm(x, kNoValue);
  const ValueId logits = linear(normed, format("{}_hc_fn", site), WeightClass::Router, m);
  const ValueId base = vector(format("{}_hc_base.weight", site), m);
  const ValueId factor = vector(format("{}_hc_scale.weight", site), all ? 3 : 1);
  Op& gates = like(logits, OpKind::StreamGates, OpClass::Elementwise, {logits, base, factor});
  gates.at.n_streams = n;
  gates.at.iterations = model_.streams.iterations;
  return gates.out;
}

// Qwen3.8: every element of the normalised streams has a gate through a bottleneck; their mean is read.
Builder::Site Builder::low_rank_site(ValueId x, std::string_view site, bool writes) {
  const WeightClass shared = WeightClass::SharedExpert;  // dense matrices that every token reads
  const std::int64_t n = model_.streams.n, all = cols(x);
  const double share = 1.0 / static_cast<double>(n);
  const ValueId normed =
      rms_norm(x, vector(format("{}_hc_norm.weight", site), all), model_.d_model);
  ValueId low = linear(normed, format("{}_hc_down", site), shared, model_.streams.lowrank);
  low = glu(Activation::Silu, scale(low, kNoValue, share), kNoValue);
  const ValueId gate = linear(low, format("{}_hc_up", site), shared, all);
  Site result{.streams = x, .read = stream_read(glu(Activation::Sigmoid, gate, normed), kNoValue)};
  if (!writes) return result;
  const ValueId inject = linear(normed, format("{}_hc_inject", site), shared, n);
  const ValueId weights = glu(Activation::Sigmoid, scale(inject, kNoValue, share), kNoValue);
  result.weights = scale(weights, kNoValue, 2.0);
  return result;
}

// What a block reads of the streams. Without streams that is the residual.
Builder::Site Builder::enter(ValueId x, std::string_view site) {
  if (model_.streams.n == 1) return {.streams = x, .read = x};
  if (model_.streams.kind == StreamConfig::Kind::LowRank) return low_rank_site(x, site, true);
  const std::int64_t n = model_.streams.n, m = (2 + n) * n;
  const ValueId gates = sinkhorn_gates(x, site, true);
  return {.streams = x,
          .read = stream_read(x, slice(gates, m, 0, n)),
          .weights = slice(gates, m, n, n),
          .mixing = slice(gates, m, 2 * n, n * n)};
}

ValueId Builder::leave(const Site& site, ValueId y) {
  if (model_.streams.n == 1) return add(site.streams, y, model_.residual_scale);
  return stream_write(y, site.streams, site.weights, site.mixing);
}

ValueId Builder::last_read(ValueId x) {
  const StreamConfig& streams = model_.streams;
  if (streams.n == 1) return x;
  if (streams.kind == StreamConfig::Kind::LowRank) return low_rank_site(x, "output", false).read;
  return stream_read(x, streams.head ? sinkhorn_gates(x, "output", false) : kNoValue);
}

// A table's rows of the last few tokens, gated by how well each stream agrees with their key (Hugging Face's
// modeling_deepseek_v41.py, NeMo Automodel's qwen3_8_flash_next/engram.py). The signed root of the agreement and
// the convolution's dilation are left out: neither is work.
ValueId Builder::add_ngrams(ValueId x, std::int64_t n_rows) {
  const NgramConfig& c = model_.ngrams;
  const std::int64_t d = model_.d_model, n = model_.streams.n, all = n * d;
  const WeightClass shared = WeightClass::SharedExpert;
  const ValueId table =
      weight("ngram_embd.weight", WeightClass::PerLayerEmbedding, n_rows, c.width);
  Op& lookup = op(OpKind::Embed, OpClass::Embed,
                  activation(graph_.n_tokens, std::int64_t{c.n_lookups} * c.width), {table});
  lookup.at.n_used = c.n_lookups;
  const ValueId found = lookup.out;
  const ValueId key = rms_norm(linear(found, "ngram_key", shared, all),
                               vector("ngram_key_norm.weight", all), d);
  const ValueId query = rms_norm(x, vector("ngram_query_norm.weight", all), d);
  Op& agreement = op(OpKind::Dot, OpClass::Elementwise, activation(rows(x), n), {key, query});
  agreement.at.width = static_cast<std::int32_t>(d);
  agreement.at.scale = 1.0 / std::sqrt(static_cast<double>(d));
  const ValueId gate = glu(Activation::Sigmoid, agreement.out, kNoValue);
  const ValueId value = linear(found, "ngram_value", shared, d);
  if (c.conv_kernel == 0) return stream_write(value, x, gate, kNoValue);
  const ValueId gated = stream_write(value, kNoValue, gate, kNoValue);
  const ValueId normed = rms_norm(gated, vector("ngram_conv_norm.weight", all), d);
  const ValueId mixed = conv(normed, "ngram_conv", c.conv_kernel, false, Activation::Silu);
  return add(x, add(gated, mixed));
}

ValueId Builder::ngrams(ValueId x) {
  const auto& tables = model_.ngrams.tables;
  const auto own = std::ranges::find(tables, layer_, &NgramConfig::Table::layer);
  return own == tables.end() ? x : add_ngrams(x, own->n_rows);
}

}  // namespace tinderbox::build

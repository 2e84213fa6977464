#include "engine/kv_store.h"

#include <algorithm>

#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/float_bits.h"

namespace tinderbox {

namespace {

double physical_memory_bytes() {
  return static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<double>(::sysconf(_SC_PAGE_SIZE));
}

}  // namespace

KvStore::KvStore(const ModelConfig& model, std::int32_t n_blocks, std::int32_t block_tokens)
    : n_blocks_(n_blocks),
      block_tokens_(block_tokens),
      n_layers_(model.n_layers),
      n_kv_heads_(model.n_kv_heads),
      head_dim_(model.head_dim) {
  CHECK(n_blocks >= 1 && block_tokens >= 1);
  const double memory = physical_memory_bytes();
  if (bytes() > memory) {
    throw_too_large(
        format("a KV pool of {} blocks of {} tokens needs {} for this model, and this computer has "
               "{}; ask for less context",
               n_blocks, block_tokens, human(Bytes(bytes())), human(Bytes(memory))));
  }
  const auto values =
      static_cast<std::size_t>(layer_values()) * static_cast<std::size_t>(n_layers_);
  k_ = hwy::AllocateAligned<std::uint16_t>(values);
  v_ = hwy::AllocateAligned<std::uint16_t>(values);
  if (k_ == nullptr || v_ == nullptr) {
    throw_too_large(
        format("no memory for a KV pool of {}; ask for less context", human(Bytes(bytes()))));
  }
  // Touches every page, so that memory that is not there is missed now and not at token 8,000.
  std::fill_n(k_.get(), values, std::uint16_t{0});
  std::fill_n(v_.get(), values, std::uint16_t{0});
}

double KvStore::bytes() const {
  return 2.0 * sizeof(std::uint16_t) * n_layers_ * n_kv_heads_ * head_dim_ * n_blocks_ *
         block_tokens_;
}

void KvStore::write(int layer, std::int32_t block, std::int32_t slot, const float* k,
                    const float* v) {
  DCHECK(layer < n_layers_ && block >= 0 && block < n_blocks_ && slot >= 0 && slot < block_tokens_);
  const std::int64_t base =
      layer * layer_values() + std::int64_t{block} * block_tokens_ * n_kv_heads_ * head_dim_;
  std::uint16_t* keys = k_.get() + base + slot;
  for (int i = 0; i < n_kv_heads_ * head_dim_; ++i)
    keys[std::int64_t{i} * block_tokens_] = f32_to_f16(k[i]);
  for (int h = 0; h < n_kv_heads_; ++h) {
    std::uint16_t* values = v_.get() + base + (std::int64_t{h} * block_tokens_ + slot) * head_dim_;
    for (int d = 0; d < head_dim_; ++d) values[d] = f32_to_f16(v[h * head_dim_ + d]);
  }
}

KvLayer KvStore::layer(int index) const {
  CHECK(index >= 0 && index < n_layers_);
  const std::int64_t base = index * layer_values();
  return {k_.get() + base, v_.get() + base, block_tokens_, n_kv_heads_, head_dim_};
}

}  // namespace tinderbox

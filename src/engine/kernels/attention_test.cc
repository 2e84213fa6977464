#include "engine/kernels/attention.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>
#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>

#include "base/random.h"
#include "engine/float_bits.h"
#include "engine/kernels/naive.h"
#include "engine/test_weights.h"

namespace tinderbox {
namespace {

template <typename Body>
void each_target(Body body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

// One sequence of n_keys positions in scattered blocks of a store, and the same keys and values as
// plain rows.
struct Sequence {
  int head_dim, n_kv_heads, n_keys;
  KvStore store;
  std::vector<std::int32_t> blocks;
  std::vector<float> keys, values;  // (n_kv_heads, n_keys, head_dim), rounded to F16

  static ModelConfig model(int kv_heads, int dim) {
    ModelConfig m;
    m.n_layers = 2;
    m.n_kv_heads = kv_heads;
    m.head_dim = dim;
    return m;
  }

  Sequence(int dim, int kv_heads, int keys_n, int block_tokens, Random& random)
      : head_dim(dim),
        n_kv_heads(kv_heads),
        n_keys(keys_n),
        store(model(kv_heads, dim), (keys_n + block_tokens - 1) / block_tokens * 2 + 1,
              block_tokens),
        keys(static_cast<std::size_t>(dim * kv_heads * keys_n)),
        values(keys.size()) {
    for (int i = 0; i * block_tokens < keys_n; ++i) blocks.push_back(store.n_blocks() - 1 - 2 * i);
    for (int p = 0; p < keys_n; ++p) {
      const auto k = test::random_floats(static_cast<std::size_t>(dim * kv_heads), 1.0, random);
      const auto v = test::random_floats(k.size(), 1.0, random);
      store.write(1, blocks[static_cast<std::size_t>(p / block_tokens)], p % block_tokens, k.data(),
                  v.data());
      for (int h = 0; h < kv_heads; ++h) {
        for (int d = 0; d < dim; ++d) {
          const auto to = static_cast<std::size_t>((h * keys_n + p) * dim + d);
          const auto from = static_cast<std::size_t>(h * dim + d);
          keys[to] = f16_to_f32(f32_to_f16(k[from]));
          values[to] = f16_to_f32(f32_to_f16(v[from]));
        }
      }
    }
  }

  std::vector<float> run(std::vector<Query> queries, int kv_head, int window, bool sinks) const {
    std::vector<float> out(queries.size() * static_cast<std::size_t>(head_dim));
    for (std::size_t i = 0; i < queries.size(); ++i) {
      queries[i].out = &out[i * static_cast<std::size_t>(head_dim)];
    }
    const std::size_t n = attention_scratch_floats(head_dim);
    const auto scratch = hwy::AllocateAligned<float>(n);
    std::fill_n(scratch.get(), n, NAN);
    attention({store.layer(1), blocks, kv_head, window, sinks, queries}, scratch.get());
    return out;
  }
};

void check(const Sequence& s, const std::vector<Query>& queries, int kv_head, int window,
           bool sinks) {
  const auto dim = static_cast<std::size_t>(s.head_dim);
  const std::vector<float> out = s.run(queries, kv_head, window, sinks);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Query& q = queries[i];
    const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, q.position + 1 - window) : 0;
    const std::size_t from =
        (static_cast<std::size_t>(kv_head * s.n_keys) + static_cast<std::size_t>(first)) * dim;
    const std::size_t length = static_cast<std::size_t>(q.position + 1 - first) * dim;
    std::vector<float> expected(dim);
    naive::attention({q.q, dim}, std::span(s.keys).subspan(from, length),
                     std::span(s.values).subspan(from, length), q.scale, sinks ? &q.sink : nullptr,
                     expected);
    // Scores have an error of (dim + 2) eps sum |q k| scale (about 4 sqrt(dim) here), exp passes it
    // on to p, and the mix over n keys adds (n + 4) eps |v|.
    const double keys = static_cast<double>(q.position + 1 - first);
    const double bound =
        4.0 * (static_cast<double>(dim) * std::sqrt(static_cast<double>(dim)) + keys + 8) * 0x1p-24;
    for (std::size_t d = 0; d < dim; ++d)
      ASSERT_NEAR(out[i * dim + d], expected[d], bound) << "query " << i;
    // The same bits alone as among the others.
    const std::vector<float> alone = s.run({q}, kv_head, window, sinks);
    ASSERT_EQ(std::memcmp(alone.data(), &out[i * dim], dim * sizeof(float)), 0) << "query " << i;
  }
}

TEST(Attention, MatchesTheNaiveOneAndIgnoresTheBatch) {
  each_target([] {
    Random random(1, Stream::Test);
    for (const int dim : {3, 16, 20, 64}) {
      for (const int block_tokens : {1, 5, 16, 32}) {
        for (const int n_keys : {1, 15, 16, 17, 70}) {
          const Sequence s(dim, 2, n_keys, block_tokens, random);
          for (const int window : {0, 1, 7, 16, 40}) {
            for (const bool sinks : {false, true}) {
              const auto q = test::random_floats(static_cast<std::size_t>(32 * dim), 1.0, random);
              std::vector<Query> queries;
              const int n = static_cast<int>(random.range(1, 32));
              for (int i = 0; i < n; ++i) {
                queries.push_back({&q[static_cast<std::size_t>(i * dim)], nullptr,
                                   n_keys - 1 - (n - 1 - i) * n_keys / 40,
                                   1.0f / std::sqrt(static_cast<float>(dim)),
                                   static_cast<float>(random.normal())});
              }
              check(s, queries, static_cast<int>(random.range(0, 1)), window, sinks);
              if (testing::Test::HasFatalFailure()) return;
            }
          }
        }
      }
    }
  });
}

TEST(Attention, BlocksOfAnySizeGiveTheSameBits) {
  std::vector<std::vector<float>> results;
  for (const int block_tokens : {1, 4, 16, 48}) {
    Random random(2, Stream::Test);
    const Sequence s(32, 1, 90, block_tokens, random);
    const auto q = test::random_floats(32, 1.0, random);
    results.push_back(s.run({{q.data(), nullptr, 89, 0.2f, 0.0f}}, 0, 0, false));
  }
  for (const auto& r : results) EXPECT_EQ(r, results[0]);
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Random random(3, Stream::Test);
  const Sequence s(16, 1, 33, 16, random);
  const auto q = test::random_floats(16, 500.0, random);
  for (const float x : s.run({{q.data(), nullptr, 32, 1.0f, 0.0f}}, 0, 0, false))
    EXPECT_TRUE(std::isfinite(x));
}

TEST(KvStore, RefusesWhatCannotFit) {
  ModelConfig m = Sequence::model(8, 128);
  m.n_layers = 100;
  EXPECT_THROW(KvStore(m, 2'000'000'000, 16), std::runtime_error);
}

}  // namespace
}  // namespace tinderbox

// Matrix products of every format against double-precision dot products of the same dequantised
// weights with the same quantised activations, on every SIMD target; and the laws that the engine's
// reproducibility rests on.
#include "engine/kernels/matmul.h"

#include <cmath>
#include <cstring>
#include <limits>

#define HWY_WANT_AVX3_DL  // as matmul.cc
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include "base/random.h"
#include "engine/kernels/naive.h"
#include "engine/kernels/panel_portable.h"
#include "engine/test_weights.h"

namespace tinderbox {
namespace {

// Runs `body` once for each SIMD target of this build and processor.
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

struct Problem {
  DType dtype;
  std::int64_t rows, cols, n_matrices = 1;
  std::vector<std::byte> data;
  PackedMatrix packed;
  std::vector<float> bias;

  Problem(DType type, std::int64_t m, std::int64_t k, Random& random, std::int64_t matrices = 1)
      : dtype(type),
        rows(m),
        cols(k),
        n_matrices(matrices),
        data(test::random_weights(type, m * matrices, k, 0.05, random)),
        packed(type, matrices, m, k),
        bias(test::random_floats(static_cast<std::size_t>(m * matrices), 0.1, random)) {
    for (std::int64_t e = 0; e < matrices; ++e) {
      for (std::int64_t p = 0; p < packed.n_panels(); ++p) packed.fill(data.data(), e, p);
    }
  }

  // panels: how many a call computes.
  std::vector<float> run(std::span<const float> x, std::int64_t matrix = 0,
                         std::int64_t panels = 1 << 20) const {
    const std::size_t k = static_cast<std::size_t>(cols), n = x.size() / k,
                      m = static_cast<std::size_t>(rows);
    std::vector<ActBlock> blocks(x.size() / 32 + 1);
    std::vector<float> out(n * m);
    std::vector<const void*> rows_in(n);
    std::vector<float*> rows_out(n);
    for (std::size_t t = 0; t < n; ++t) {
      rows_out[t] = &out[t * m];
      rows_in[t] = &x[t * k];
      if (!packed.layout().quantised) continue;
      quantise(&x[t * k], cols, &blocks[t * k / 32]);
      rows_in[t] = &blocks[t * k / 32];
    }
    const MatMul op{&packed, matrix, &bias[static_cast<std::size_t>(matrix) * m], rows_in,
                    rows_out};
    for (std::int64_t p = 0; p < packed.n_panels(); p += panels) {
      matmul_panels(op, p, std::min(packed.n_panels(), p + panels));
    }
    return out;
  }
};

// |err| <= (n + 2) eps sum |a b|: n products and their sum in float. Quantised formats use a tenth
// of it: a block of 32 has an exact integer dot product and at most three roundings, on terms (d q
// and the minimum apart) whose magnitude is a few times that of the dequantised products.
void expect_close(const Problem& p, const std::vector<float>& x, const std::vector<float>& out,
                  std::int64_t e) {
  const std::size_t k = static_cast<std::size_t>(p.cols), m = static_cast<std::size_t>(p.rows);
  const std::vector<float> w = test::dequantised(p.dtype, p.rows * p.n_matrices, p.cols, p.data);
  std::vector<float> row(k);
  std::vector<ActBlock> blocks(k / 32);
  for (std::size_t t = 0; t < x.size() / k; ++t) {
    std::memcpy(row.data(), &x[t * k], k * sizeof(float));
    if (p.packed.layout().quantised) {
      portable::quantise(&x[t * k], p.cols / 32, blocks.data());
      naive::quantised_values(blocks, row);
    }
    for (std::size_t r = 0; r < m; ++r) {
      const std::size_t index = static_cast<std::size_t>(e) * m + r;
      const naive::Sum sum = naive::dot(row, std::span(w).subspan(index * k, k));
      const double bias = p.bias[index];
      const double magnitude = sum.magnitude + std::fabs(bias);
      const double bound = (static_cast<double>(k) + 2) * 0x1p-24 * magnitude * 1.01 + 1e-12;
      ASSERT_NEAR(out[t * m + r], sum.value + bias, bound)
          << dtype_info(p.dtype).name << " rows " << m << " k " << k << " row " << r << " token "
          << t;
    }
  }
}

TEST(MatMul, EveryFormatAndTargetMatchesTheDequantisedProduct) {
  each_target([] {
    Random random(1, Stream::Test);
    for (const DType dtype : test::kFormats) {
      const int block = dtype_info(dtype).block_elements;
      for (const std::int64_t rows : {1, 7, 8, 9, 16, 31}) {
        for (const std::int64_t blocks : {1, 2, 5}) {
          const Problem p(dtype, rows, block == 1 ? blocks * 13 : block * blocks, random);
          for (const std::size_t n : {1UL, 2UL, 3UL, 4UL, 5UL, 11UL}) {
            const std::vector<float> x =
                test::random_floats(n * static_cast<std::size_t>(p.cols), 1.0, random);
            expect_close(p, x, p.run(x), 0);
            if (testing::Test::HasFatalFailure()) return;
          }
        }
      }
    }
  });
}

// Every length below four of the widest vectors.
TEST(MatMul, FloatFormatsOfEveryShortLength) {
  each_target([] {
    Random random(2, Stream::Test);
    for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
      for (std::int64_t k = 1; k < 64; ++k) {
        const Problem p(dtype, 17, k, random);
        const std::vector<float> x =
            test::random_floats(static_cast<std::size_t>(3 * k), 1.0, random);
        expect_close(p, x, p.run(x), 0);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST(MatMul, ExtremeCodesDoNotOverflow) {
  each_target([] {
    Random random(3, Stream::Test);
    for (const DType dtype : test::kFormats) {
      if (dtype_info(dtype).block_elements == 1) continue;
      for (const int fill : {0, 0x80, 0x7f, 0xff}) {
        Problem p(dtype, 24, 512, random);
        std::fill(p.data.begin(), p.data.end(), static_cast<std::byte>(fill));
        const auto block = static_cast<std::size_t>(dtype_info(dtype).block_bytes);
        for (std::size_t at = 0; at < p.data.size(); at += block) {
          test::scale_block(dtype, &p.data[at], 0.05, random);
        }
        for (std::int64_t i = 0; i < p.packed.n_panels(); ++i) p.packed.fill(p.data.data(), 0, i);
        for (const float value : {1.0f, -1.0f}) {
          const std::vector<float> x(512,
                                     value);  // every activation code is kActMax or its opposite
          expect_close(p, x, p.run(x), 0);
        }
      }
    }
  });
}

TEST(MatMul, SameBitsForAnyBatch) {
  each_target([] {
    Random random(4, Stream::Test);
    for (const DType dtype : test::kFormats) {
      const Problem p(dtype, 40, 512, random);
      const std::vector<float> x = test::random_floats(512 * 130, 1.0, random);
      const std::vector<float> together = p.run(x);
      for (std::size_t t = 0; t < 130; ++t) {
        const std::vector<float> alone = p.run(std::span(x).subspan(t * 512, 512));
        ASSERT_EQ(std::memcmp(alone.data(), &together[t * 40], 40 * sizeof(float)), 0)
            << dtype_info(dtype).name << " token " << t;
      }
    }
  });
}

// What threads and wider kernels rest on: one panel at a time, or two, or all; AVX2 or AVX-512.
TEST(MatMul, SameBitsForAnyDivisionAndTier) {
  std::vector<std::vector<float>> of_avx2;
  each_target([&] {
    Random random(9, Stream::Test);
    const std::int64_t target = hwy::SupportedTargets() & -hwy::SupportedTargets();
    const bool avx2_or_more = target == HWY_AVX2 || target == HWY_AVX3 || target == HWY_AVX3_DL;
    std::vector<std::vector<float>> outs;
    for (const DType dtype : test::kFormats) {
      if (dtype_info(dtype).block_elements == 1) continue;
      const Problem p(dtype, 75, 768, random);
      for (std::size_t n = 1; n <= 17; ++n) {
        const std::vector<float> x = test::random_floats(768 * n, 1.0, random);
        outs.push_back(p.run(x));
        for (const std::int64_t panels : {1, 2, 3}) ASSERT_EQ(p.run(x, 0, panels), outs.back());
      }
    }
    if (!avx2_or_more) return;
    if (of_avx2.empty()) of_avx2 = outs;
    ASSERT_EQ(outs, of_avx2);
  });
}

TEST(MatMul, MatricesOfOneWeightAreIndependent) {
  Random random(5, Stream::Test);
  for (const DType dtype : test::kFormats) {
    const Problem p(dtype, 12, 256, random, 3);
    const std::vector<float> x = test::random_floats(256 * 2, 1.0, random);
    for (std::int64_t e = 0; e < 3; ++e) expect_close(p, x, p.run(x, e), e);
  }
}

TEST(Quantise, SameBitsOnEveryTarget) {
  each_target([] {
    Random random(6, Stream::Test);
    for (int i = 0; i < 300; ++i) {
      std::vector<float> x = test::random_floats(64, std::exp2(random.range(-150, 120)), random);
      const int special = static_cast<int>(random.range(0, 9));
      float& one = x[static_cast<std::size_t>(random.range(0, 63))];
      if (special == 0) one = std::numeric_limits<float>::quiet_NaN();
      if (special == 1) one = -std::numeric_limits<float>::infinity();
      if (special == 2) std::fill(x.begin(), x.end(), 0.0f);
      ActBlock a[2], b[2];
      quantise(x.data(), 64, a);
      portable::quantise(x.data(), 2, b);
      ASSERT_EQ(std::memcmp(a, b, sizeof(a)), 0);
    }
  });
}

TEST(Quantise, ErrorIsHalfAStepAndSumsAreRight) {
  Random random(7, Stream::Test);
  for (int i = 0; i < 200; ++i) {
    const std::vector<float> x = test::random_floats(32, 3.0, random);
    ActBlock block;
    quantise(x.data(), 32, &block);
    int sum = 0;
    for (std::size_t j = 0; j < 32; ++j) {
      EXPECT_LE(std::fabs(x[j] - block.d * block.q[j]), block.d * 0.501f);
      sum += block.q[j];
    }
    EXPECT_EQ(block.d_sum, block.d * static_cast<float>(sum));
  }
}

TEST(Quantise, NotANumberReachesTheOutput) {
  Random random(8, Stream::Test);
  const Problem p(DType::Q4_1, 8, 64, random);
  std::vector<float> x = test::random_floats(64, 1.0, random);
  x[40] = std::numeric_limits<float>::infinity();
  for (const float y : p.run(x)) EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace tinderbox

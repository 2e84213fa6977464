#include "engine/kernels/vector_ops.h"

#include <cmath>

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include "base/random.h"
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

// Lengths below four of the widest vectors and offsets that break every alignment; buffers end at
// the last value, so that the address sanitizer sees a load past it.
TEST(VectorOps, EveryLengthAndMisalignment) {
  each_target([] {
    Random random(1, Stream::Test);
    for (std::size_t n = 1; n < 64; ++n) {
      for (const std::size_t offset : {0UL, 1UL, 3UL}) {
        const std::vector<float> a = test::random_floats(n + offset, 2.0, random);
        const std::vector<float> b = test::random_floats(n + offset, 2.0, random);
        const float *x = a.data() + offset, *y = b.data() + offset;
        const auto length = static_cast<std::int64_t>(n);
        std::vector<float> out(n), expected(n);

        add(x, y, length, out.data());
        for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], x[i] + y[i]);

        rms_norm(x, y, 1e-5f, length, out.data());
        naive::rms_norm(x, y, 1e-5f, length, expected.data());
        // (n + 2) roundings of the sum of squares count half under the root; four more follow.
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_NEAR(out[i], expected[i],
                      (static_cast<double>(n) / 2 + 5) * 0x1p-24 * std::fabs(expected[i]));
        }

        for (const Activation f : {Activation::Silu, Activation::GeluTanh, Activation::SwigluOai}) {
          glu(f, x, y, length, out.data());
          for (std::size_t i = 0; i < n; ++i) {
            // exp and tanh are within 4 units in the last place of values near 1; 1 - tanh loses
            // what |gate| magnifies.
            const double bound = 16 * 0x1p-23 * (std::fabs(x[i]) + 1e-3) * (std::fabs(y[i]) + 1);
            ASSERT_NEAR(out[i], naive::glu(f, x[i], y[i]), bound) << x[i] << " " << y[i];
          }
        }

        std::vector<float> sum(y, y + n);
        add_scaled(x, 0.75f, length, sum.data());
        for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(sum[i], y[i] + 0.75f * x[i], 2e-6);
      }
    }
  });
}

TEST(VectorOps, GluOfExtremeGatesStaysFinite) {
  each_target([] {
    const float gate[] = {1e30f, -1e30f, 200.0f, -200.0f, 89.0f, -89.0f, 0.0f, -0.0f};
    const float up[] = {1, 1, 1, 1, 1, 1, 1, 1};
    float out[8];
    for (const Activation f : {Activation::Silu, Activation::GeluTanh, Activation::SwigluOai}) {
      glu(f, gate, up, 8, out);
      for (std::size_t i = 0; i < 8; ++i) {
        const float expected = naive::glu(f, gate[i], up[i]);
        ASSERT_NEAR(out[i], expected, 1e-6 * std::fabs(expected) + 1e-30 * std::fabs(gate[i]))
            << gate[i];
      }
    }
  });
}

TEST(VectorOps, RopeOfEveryWidth) {
  each_target([] {
    Random random(2, Stream::Test);
    for (int half = 1; half <= 34; ++half) {
      for (const int pass : {0, 3}) {
        for (const bool interleaved : {false, true}) {
          const int head_dim = 2 * half + pass, n_heads = 3;
          std::vector<float> c, s;
          for (int i = 0; i < half; ++i) {
            const double angle = random.uniform() * 6.28;
            c.push_back(static_cast<float>(std::cos(angle)));
            s.push_back(static_cast<float>(std::sin(angle)));
          }
          const auto x =
              test::random_floats(static_cast<std::size_t>(head_dim * n_heads), 1.0, random);
          std::vector<float> out(x.size()), expected(x.size());
          const RopeRow row{c.data(), s.data(), 2 * half, head_dim, n_heads, interleaved};
          rope(row, x.data(), out.data());
          naive::rope(row, x.data(), expected.data());
          for (std::size_t i = 0; i < x.size(); ++i)
            ASSERT_NEAR(out[i], expected[i], 4 * 0x1p-24 * 5);
        }
      }
    }
  });
}

}  // namespace
}  // namespace tinderbox

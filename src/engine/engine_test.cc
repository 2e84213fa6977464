// The engine against the naive interpreter on random tiny models with every switch of ModelConfig,
// and the laws of a step: the same bits whatever the batch, the chunking, the blocks and the number
// of threads.
#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "engine/test_weights.h"
#include "model/gguf_writer.h"
#include "model/random_model.h"
#include "model/reference.h"

namespace tinderbox {
namespace {

// A model with random weights as a GGUF file in memory, and the same weights as floats.
struct TestModel {
  ModelConfig config;
  std::vector<std::byte> bytes;
  std::map<std::string, std::vector<float>> values;

  // Matrices are in `dtype`; norms, biases and sinks in F32.
  TestModel(ModelConfig m, DType dtype, Random& random, std::string_view leave_out = {})
      : config(std::move(m)) {
    const Graph graph = build_step(config, uniform_format(DType::F32), DType::F16, {{0, 1, true}});
    GgufWriter writer;
    for (const Value& v : graph.values) {
      if (v.role != Role::Weight || v.name == leave_out) continue;
      const bool vector = v.weight_class == WeightClass::NormOrBias;
      const DType type = vector ? DType::F32 : dtype;
      const bool norm = v.name.find("norm") != std::string::npos;
      const double spread = norm ? 0.1 : 1.0 / std::sqrt(static_cast<double>(v.cols));
      std::vector<std::byte> data = test::random_weights(type, v.rows, v.cols, spread, random);
      std::vector<float> floats = test::dequantised(type, v.rows, v.cols, data);
      if (norm) {
        for (float& x : floats) x += 1.0f;
        std::memcpy(data.data(), floats.data(), data.size());
      }
      writer.add_tensor(v.name, type, {v.cols, v.rows}, data);
      values[v.name] = std::move(floats);
    }
    bytes = writer.bytes();
  }

  std::shared_ptr<const Gguf> file() const {
    return std::make_shared<const Gguf>(Gguf::parse(bytes, "test.gguf"));
  }

  Engine engine(EngineOptions options = {}) const {
    options.kv_blocks = 64;
    options.step_tokens_max = 128;
    options.sequences_max = 8;
    return Engine(file(), config, options);
  }

  // Logits of the last row of `tokens` by the naive interpreter.
  std::vector<float> reference(std::span<const TokenId> tokens) const {
    Reference interpreter(
        [this](const std::string& name) { return std::span<const float>(values.at(name)); },
        /*kv_round_f16=*/true);
    ReferenceKv kv;
    const Graph graph = build_step(config, uniform_format(DType::F32), DType::F16,
                                   {{0, static_cast<std::int32_t>(tokens.size()), true}});
    return interpreter.run(graph, tokens, {&kv, 1});
  }
};

using Logits = std::vector<float>;

// Runs `tokens` as one sequence in chunks of at most `chunk`, in the given blocks; the logits of
// the last token.
Logits run_alone(Engine& engine, std::span<const TokenId> tokens, std::size_t chunk,
                 std::span<const std::int32_t> blocks) {
  Logits out;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const std::size_t n = std::min(chunk, tokens.size() - at);
    const EngineItem item{tokens.subspan(at, n), static_cast<std::int32_t>(at), blocks,
                          at + n == tokens.size()};
    const auto logits = engine.step({&item, 1});
    out.assign(logits.begin(), logits.end());
  }
  return out;
}

std::vector<std::int32_t> blocks_from(std::int32_t first, std::int32_t step, int n) {
  std::vector<std::int32_t> blocks;
  for (int i = 0; i < n; ++i) blocks.push_back(first + i * step);
  return blocks;
}

bool same_bits(const Logits& a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), b.size_bytes()) == 0;
}

int multiple_of(DType dtype) {
  const int block = dtype_info(dtype).block_elements;
  return block == 1 ? 2 : block;
}

// Largest difference from the naive interpreter, relative to the largest logit.
double distance(const TestModel& model, Random& random) {
  const auto tokens = random_tokens(random, random.range(1, 40), model.config.n_vocab);
  Engine engine = model.engine({.n_threads = 2});
  const Logits ours = run_alone(engine, tokens, 128, blocks_from(0, 1, 8));
  const Logits expected = model.reference(tokens);
  EXPECT_EQ(ours.size(), expected.size());
  double worst = 0, largest = 1e-3;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    worst = std::max(worst, static_cast<double>(std::fabs(ours[i] - expected[i])));
    largest = std::max(largest, static_cast<double>(std::fabs(expected[i])));
  }
  return worst / largest;
}

// The two compute the same sums in another order ((k + 2) 2^-24 each, about 10^-6 in all), and a
// key or value near the middle of two F16 values may round to the other one: 2^-11 of one value
// among many.
constexpr double kFloatBound = 0x1p-12;

// Quantised formats round activations to 14 bits of a block's largest, about 2^-13 of a typical
// one, before each of the matrix products: seven a layer, whose errors add up like random steps.
double quantised_bound(const ModelConfig& model) { return 2.0 * (model.n_layers + 1) * 0x1p-11; }

TEST(Engine, MatchesTheNaiveInterpreterInFloat) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    Random random(seed, Stream::Test);
    const DType dtype = std::array{DType::F32, DType::F16, DType::BF16}[seed % 3];
    const TestModel model(random_model(random), dtype, random);
    EXPECT_LE(distance(model, random), kFloatBound) << "seed " << seed;
  }
}

TEST(Engine, MatchesTheNaiveInterpreterQuantised) {
  for (const DType dtype : {DType::Q4_0, DType::Q4_1, DType::Q8_0}) {
    for (std::uint32_t seed = 0; seed < 6; ++seed) {
      Random random(seed, Stream::Test, 1);
      const TestModel model(random_model(random, multiple_of(dtype)), dtype, random);
      EXPECT_LE(distance(model, random), quantised_bound(model.config))
          << dtype_info(dtype).name << " seed " << seed;
    }
  }
}

// The widths of super-blocks are slow in the naive interpreter: one small shape.
TEST(Engine, MatchesTheNaiveInterpreterInSuperBlocks) {
  for (const DType dtype : {DType::Q4_K, DType::Q6_K}) {
    Random random(3, Stream::Test, 2);
    ModelConfig m = random_model(random, 32);
    m.n_heads = 8, m.n_kv_heads = 2, m.head_dim = 32, m.rope.n_dims = 32;
    m.rope.factors.clear();
    m.d_model = 256, m.d_ff = 256;
    m.n_experts = 3, m.n_experts_used = 2, m.d_ff_expert = 256;
    const TestModel model(m, dtype, random);
    EXPECT_LE(distance(model, random), quantised_bound(model.config)) << dtype_info(dtype).name;
  }
}

TEST(Engine, SameBitsForAnyChunkingBlocksAndThreads) {
  for (std::uint32_t seed = 0; seed < 8; ++seed) {
    Random random(seed, Stream::Test, 3);
    const DType dtype = std::array{DType::F32, DType::Q4_1, DType::Q8_0, DType::F16}[seed % 4];
    const TestModel model(random_model(random, multiple_of(dtype)), dtype, random);
    const auto tokens = random_tokens(random, random.range(2, 60), model.config.n_vocab);
    Engine one = model.engine({.n_threads = 1});
    const Logits expected = run_alone(one, tokens, 128, blocks_from(0, 1, 4));
    for (const int n_threads : {1, 2, 3}) {
      Engine engine = model.engine({.n_threads = n_threads});
      for (const std::size_t chunk : {1UL, 2UL, 7UL, 16UL, 128UL}) {
        const Logits logits = run_alone(engine, tokens, chunk, blocks_from(63, -3, 4));
        EXPECT_TRUE(same_bits(expected, logits))
            << "seed " << seed << " chunk " << chunk << " threads " << n_threads;
      }
    }
    Engine blocks4 = model.engine({.n_threads = 2, .kv_block_tokens = 4});
    EXPECT_TRUE(same_bits(expected, run_alone(blocks4, tokens, 9, blocks_from(1, 3, 16))))
        << "seed " << seed;
  }
}

// Sequences come, go and share steps at random; each one's logits are those it has alone.
TEST(Engine, SameBitsForAnyBatch) {
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    Random random(seed, Stream::Test, 4);
    const DType dtype = std::array{DType::F32, DType::Q4_0, DType::Q4_1}[seed % 3];
    const TestModel model(random_model(random, multiple_of(dtype)), dtype, random);
    struct Sequence {
      std::vector<TokenId> tokens;
      std::vector<std::int32_t> blocks;
      std::size_t done = 0;
    };
    std::vector<Sequence> sequences;
    for (std::int32_t i = 0; i < 6; ++i) {
      sequences.push_back(
          {random_tokens(random, random.range(1, 40), model.config.n_vocab), blocks_from(i, 6, 4)});
    }
    Engine batched = model.engine({.n_threads = 2}), alone = model.engine({.n_threads = 1});
    for (;;) {
      std::vector<EngineItem> items;
      std::vector<std::size_t> who;
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        Sequence& s = sequences[i];
        const auto left = static_cast<std::int64_t>(s.tokens.size() - s.done);
        if (left == 0 || random.uniform() < 0.3) continue;
        const auto n = static_cast<std::size_t>(random.range(1, std::min<std::int64_t>(left, 15)));
        items.push_back({std::span(s.tokens).subspan(s.done, n), static_cast<std::int32_t>(s.done),
                         s.blocks, random.uniform() < 0.7});
        s.done += n;
        who.push_back(i);
      }
      if (items.empty()) {
        if (std::ranges::all_of(sequences,
                                [](const Sequence& s) { return s.done == s.tokens.size(); }))
          break;
        continue;
      }
      const auto logits = batched.step(items);
      std::size_t row = 0;
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (!items[i].samples) continue;
        const auto n_vocab = static_cast<std::size_t>(model.config.n_vocab);
        const auto so_far = std::span(sequences[who[i]].tokens).first(sequences[who[i]].done);
        const Logits expected = run_alone(alone, so_far, 128, blocks_from(0, 1, 4));
        ASSERT_TRUE(same_bits(expected, logits.subspan(row++ * n_vocab, n_vocab)))
            << "seed " << seed;
      }
      ASSERT_EQ(logits.size(), row * static_cast<std::size_t>(model.config.n_vocab));
    }
  }
}

// What an earlier sequence left in a block does not matter.
TEST(Engine, ReusedBlocksAreAsGoodAsNew) {
  Random random(1, Stream::Test, 5);
  const TestModel model(random_model(random, 32), DType::Q8_0, random);
  Engine engine = model.engine({.n_threads = 2});
  const auto a = random_tokens(random, 60, model.config.n_vocab),
             b = random_tokens(random, 37, model.config.n_vocab);
  const Logits fresh = run_alone(engine, b, 128, blocks_from(10, 1, 4));
  run_alone(engine, a, 128, blocks_from(20, 1, 4));
  EXPECT_TRUE(same_bits(fresh, run_alone(engine, b, 5, blocks_from(20, 1, 4))));
}

std::string message_of(const TestModel& model) {
  try {
    model.engine();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Engine, NamesTheTensorThatIsMissingWrongOrUnsupported) {
  Random random(2, Stream::Test, 6);
  ModelConfig m = random_model(random, 32);
  const TestModel missing(m, DType::F32, random, "blk.0.attn_k.weight");
  EXPECT_NE(message_of(missing).find("blk.0.attn_k.weight"), std::string::npos)
      << message_of(missing);

  TestModel wrong(m, DType::F32, random);
  wrong.config.d_model *= 2;
  EXPECT_NE(message_of(wrong).find("token_embd.weight"), std::string::npos) << message_of(wrong);
  EXPECT_NE(message_of(wrong).find("expected"), std::string::npos);

  GgufWriter writer;
  const Graph graph = build_step(m, uniform_format(DType::F32), DType::F16, {{0, 1, true}});
  for (const Value& v : graph.values) {
    if (v.role != Role::Weight) continue;
    const DType type = v.name == "blk.0.attn_q.weight" ? DType::Q5_0 : DType::F32;
    const std::vector<std::byte> data(static_cast<std::size_t>(v.rows) * row_bytes(type, v.cols));
    writer.add_tensor(v.name, type, {v.cols, v.rows}, data);
  }
  TestModel unsupported(m, DType::F32, random);
  unsupported.bytes = writer.bytes();
  try {
    unsupported.engine();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::Unsupported);
    EXPECT_NE(std::string(e.what()).find("blk.0.attn_q.weight"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("q5_0"), std::string::npos) << e.what();
  }
}

TEST(Engine, RefusesAPoolLargerThanMemory) {
  Random random(3, Stream::Test, 7);
  const TestModel model(random_model(random), DType::F32, random);
  try {
    Engine engine(model.file(), model.config, {.kv_blocks = 1 << 24, .kv_block_tokens = 1 << 20});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::TooLarge) << e.what();
  }
  EXPECT_THROW(Engine(model.file(), model.config, {.kv_blocks = 0}), Error);
}

}  // namespace
}  // namespace tinderbox

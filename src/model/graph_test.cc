#include "model/graph.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "model/random_layers.h"
#include "model/random_model.h"

namespace tinderbox {
namespace {

const std::filesystem::path kSource = TINDERBOX_SOURCE_DIR;

// "rope  elementwise  L0  %7 <- %5" with shapes, one op a line.
std::string to_text(const Graph& graph) {
  const auto name = [&](ValueId id) {
    const Value& v = graph.values[static_cast<std::size_t>(id)];
    const std::string shape = format("({}, {})", v.rows, v.cols);
    if (v.role == Role::Activation) return format("%{}{}", id, shape);
    return format("{}{}:{}", v.name, shape, dtype_info(v.dtype).name);
  };
  std::string text;
  for (const Op& op : graph.ops) {
    text += format("{:11} {:11} {:3}", op_name(op.kind), op_class_name(op.op_class),
                   op.layer < 0 ? "-" : format("L{}", op.layer));
    if (op.out != kNoValue) text += " " + name(op.out) + " <-";
    for (const ValueId id : op.in) {
      if (id != kNoValue) text += " " + name(id);
    }
    if (op.at.window > 0 && op.kind == OpKind::Attention) {
      text += format(" window {}", op.at.window);
    };
    text += "\n";
  }
  return text;
}

TEST(Graph, RandomModelsVerify) {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    Random random(2, Stream::Test, seed);
    ModelConfig m = random_model(random);
    if (seed % 2 == 1) vary_layers(random, m);
    const Graph graph =
        build_step(m, weight_format("q4_k_m", WeightFile::Gguf), DType::F16, random_segments(random));
    verify(graph);
    std::int64_t n_sampled = 0;
    for (const Segment& s : graph.segments) n_sampled += s.samples ? 1 : 0;
    EXPECT_EQ(graph.n_sampled, n_sampled);
    EXPECT_EQ(graph.logits == kNoValue, n_sampled == 0);
  }
}

TEST(Graph, EveryLoadingModelVerifiesAndNeedsNoMoreOpsThanItsLayers) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "data/models")) {
    if (entry.path().extension() != ".json") continue;
    ModelConfig m;
    try {
      m = load_config(entry.path());
    } catch (const Error&) {
      continue;  // config_test says which and why
    }
    const Graph graph =
        build_step(m, weight_format("bf16", WeightFile::Checkpoint), DType::BF16, {{0, 512, true}, {4095, 1, true}});
    verify(graph);
    EXPECT_EQ(graph.n_tokens, 513);
    EXPECT_LE(graph.ops.size(), static_cast<std::size_t>(m.n_layers) * 60 + 12);
    ++n;
  }
  EXPECT_GT(n, 40);
}

TEST(Graph, WithoutSamplingTheHeadIsLeftOut) {
  Random random(3, Stream::Test);
  const ModelConfig m = random_model(random);
  const WeightFormat f32 = uniform_format(DType::F32);
  const Graph with = build_step(m, f32, DType::F16, {{0, 3, true}});
  const Graph without = build_step(m, f32, DType::F16, {{0, 3, false}});
  verify(without);
  EXPECT_EQ(with.ops.size(), without.ops.size() + 3);
}

TEST(Graph, VisibleKeysIncludeTheTokenItself) {
  const Segment s{.n_past = 3, .n_new = 4};
  EXPECT_EQ(visible_keys(s, 0, 0), 4);
  EXPECT_EQ(visible_keys(s, 3, 0), 7);
  EXPECT_EQ(visible_keys(s, 0, 5), 4);
  EXPECT_EQ(visible_keys(s, 3, 5), 5);
}

TEST(GraphDeathTest, VerifyStopsAtBrokenGraphs) {
  Random random(4, Stream::Test);
  ModelConfig m = random_model(random);
  const Graph good = build_step(m, uniform_format(DType::F32), DType::F16, {{0, 3, true}});
  verify(good);
  Graph swapped = good;
  std::swap(swapped.ops[0], swapped.ops[1]);
  EXPECT_DEATH(verify(swapped), "CHECK failed");
  Graph shape = good;
  shape.values[static_cast<std::size_t>(shape.ops[1].out)].cols += 1;
  EXPECT_DEATH(verify(shape), "CHECK failed");
  Graph segments = good;
  segments.segments[0].n_new = 4;
  EXPECT_DEATH(verify(segments), "CHECK failed");
  Graph twice = good;
  twice.ops.push_back(twice.ops.back());
  EXPECT_DEATH(verify(twice), "CHECK failed");
}

// Two layers of each family, a step of one prefill chunk and one decode token. After an intended
// change copy the file named in the message over the golden one.
ModelConfig tiny(const std::string& family) {
  ModelConfig m;
  m.id = m.family = family;
  m.n_layers = 2;
  m.n_heads = 4;
  m.n_kv_heads = 2;
  m.head_dim = 8;
  m.rope.n_dims = 8;
  m.d_model = 32;
  m.d_ff = 64;
  m.n_vocab = 100;
  m.n_ctx = 256;
  if (family == "llama") m.tied_embeddings = true;
  if (family == "qwen2") m.qkv_bias = true;
  if (family == "qwen3" || family == "qwen3_moe") m.qk_norm = true;
  if (family == "qwen3_moe" || family == "mixtral" || family == "gpt_oss") {
    m.n_experts = 8;
    m.n_experts_used = 2;
    m.d_ff_expert = 32;
  }
  if (family == "gpt_oss") {
    m.qkv_bias = m.attn_out_bias = m.mlp_bias = m.attn_sinks = true;
    m.activation = Activation::SwigluOai;
    m.layer_window = {128, 0};
  }
  return m;
}

class GraphGolden : public testing::TestWithParam<const char*> {};

TEST_P(GraphGolden, OpsOfTheFamily) {
  const std::string family = GetParam();
  const Graph graph = build_step(tiny(family), weight_format("mxfp4", WeightFile::Gguf), DType::F16,
                                 {{0, 5, false}, {40, 1, true}});
  verify(graph);
  const std::string actual = to_text(graph);
  const std::filesystem::path golden = kSource / "tests/golden" / format("graph_{}.txt", family);
  const std::string expected = std::filesystem::exists(golden) ? read_file(golden) : "";
  if (actual == expected) return;
  const std::string written = testing::TempDir() + golden.filename().string();
  std::ofstream(written) << actual;
  FAIL() << "differs from " << golden << "; the ops are now in " << written << ":\n" << actual;
}

INSTANTIATE_TEST_SUITE_P(Families, GraphGolden,
                         testing::Values("llama", "qwen2", "qwen3", "qwen3_moe", "mixtral",
                                         "gpt_oss"));

}  // namespace
}  // namespace tinderbox

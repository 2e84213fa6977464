#include "model/config.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/text.h"
#include "model/graph.h"

namespace tinderbox {
namespace {

const std::filesystem::path kModels = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/models";

ModelConfig model(const std::string& id) { return load_config(kModels / (id + ".json")); }

TEST(Config, ActiveParametersLeaveOutUnusedExpertsAndTheTable) {
  const ParameterCount dense = count_parameters(model("llama-3.1-8b"));
  EXPECT_EQ(dense.total, 8030261248.0);
  EXPECT_EQ(dense.total - dense.active, 128256.0 * 4096);
  const ParameterCount tied = count_parameters(model("llama-3.2-1b"));
  EXPECT_EQ(tied.total, tied.active);
  const ParameterCount moe = count_parameters(model("qwen3-30b-a3b"));
  EXPECT_NEAR(moe.active / 1e9, 3.04, 0.01);
  EXPECT_NEAR(count_parameters(model("mixtral-8x7b")).active / 1e9, 12.75, 0.05);
}

TEST(Config, GptOss) {
  const ModelConfig m = model("gpt-oss-20b");
  EXPECT_EQ(m.n_experts, 32);
  EXPECT_EQ(m.n_experts_used, 4);
  EXPECT_EQ(m.d_ff_expert, 2880);
  EXPECT_TRUE(m.attn_sinks && m.mlp_bias && m.qkv_bias && m.attn_out_bias && !m.qk_norm);
  EXPECT_EQ(m.activation, Activation::SwigluOai);
  EXPECT_EQ(m.window(0), 128);
  EXPECT_EQ(m.window(1), 0);
  EXPECT_EQ(m.rope.scaling, RopeScaling::Yarn);
  EXPECT_EQ(m.rope.factor, 32.0);
  EXPECT_EQ(m.rope.n_ctx_original, 4096);
  EXPECT_FALSE(m.rope.yarn_truncate);
  EXPECT_EQ(m.rope.n_dims, 64);
}

TEST(Config, FamiliesDifferWhereTheyShould) {
  EXPECT_TRUE(model("qwen2.5-7b").qkv_bias);
  EXPECT_FALSE(model("qwen2.5-1.5b").attn_out_bias);
  EXPECT_TRUE(model("qwen3-8b").qk_norm);
  EXPECT_EQ(model("qwen3-4b").q_dim(), 4096);  // wider than d_model: head_dim is its own field
  EXPECT_TRUE(model("qwen3-4b").tied_embeddings);
  EXPECT_FALSE(model("qwen3-8b").tied_embeddings);
  EXPECT_TRUE(model("qwen3-vl-2b").tied_embeddings);
  EXPECT_FALSE(model("qwen3-vl-8b").tied_embeddings);
  EXPECT_EQ(model("mistral-7b-v0.1").window(31), 4096);
  EXPECT_EQ(model("mistral-7b-v0.2").window(31), 0);
  EXPECT_EQ(model("qwen2.5-7b").window(27), 0);  // has a window that is switched off
  EXPECT_EQ(model("phi-4-mini").rope.n_dims, 96);
  EXPECT_EQ(model("phi-4-mini").rope.factors.size(), 48u);
  EXPECT_NEAR(model("phi-4-mini").rope.attention_factor, 1.1902380714238083, 1e-12);
  EXPECT_EQ(model("llama-3.1-8b").rope.scaling, RopeScaling::Llama3);
  EXPECT_EQ(model("ministral-3-3b").rope.attention_factor, 1.0);
  EXPECT_EQ(model("ministral-3-3b").attn_temperature_beta, 0.1);
}

// The smallest accepted file; tests change one key of it.
std::string config_with(const std::string& extra) {
  return R"({"model_type":"llama","num_hidden_layers":2,"hidden_size":8,"num_attention_heads":2,)"
         R"("intermediate_size":16,"vocab_size":32,"max_position_embeddings":64,"rms_norm_eps":1e-5)" +
         (extra.empty() ? "" : "," + extra) + "}";
}

std::string error_of(const std::string& text) {
  try {
    parse_config(text, "x.json");
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(Config, BadFieldsAreNamed) {
  EXPECT_EQ(error_of(config_with("")), "");
  EXPECT_EQ(error_of(R"({"model_type":"llama"})"),
            "x.json: 'num_hidden_layers' is missing, expected a whole number from 1 to 1024");
  // In JSON the last of two equal keys wins, so `extra` overrides.
  EXPECT_EQ(error_of(config_with(R"("num_hidden_layers":1e9)")),
            "x.json: 'num_hidden_layers' is 1000000000.0, expected a whole number from 1 to 1024");
  EXPECT_EQ(error_of(config_with(R"("vocab_size":"many")")),
            "x.json: 'vocab_size' is \"many\", expected a whole number from 1 to 16777216");
  EXPECT_EQ(error_of(config_with(R"("num_key_value_heads":3)")),
            "x.json: 'num_key_value_heads' is 3, expected a divisor of 2 heads");
  EXPECT_EQ(error_of(config_with(R"("hidden_size":[[1]])")),
            "x.json: 'hidden_size' is an array, expected a whole number from 1 to 262144");
  EXPECT_EQ(error_of(config_with(R"("rope_scaling":{"rope_type":"yarn"})")),
            "x.json: rope_scaling: 'factor' is missing, expected a number from 0.001 to 1e6");
  EXPECT_EQ(
      error_of(config_with(R"("rope_scaling":{"rope_type":"spiral","factor":2})")),
      "x.json: family 'llama' needs rope scaling 'spiral', which this version has no ops for");
  EXPECT_EQ(error_of(config_with(R"("embedding_multiplier":12.0)")),
            "x.json: family 'llama' needs 'embedding_multiplier' = 12, which this version has no "
            "ops for");
  EXPECT_NE(error_of(config_with(R"("model_type":"novelty")")).find("'novelty' is not known"),
            std::string::npos);
  EXPECT_NE(error_of("[1]").find("expected a JSON object"), std::string::npos);
  EXPECT_NE(error_of("{").find("x.json: not JSON"), std::string::npos);
  EXPECT_NE(error_of(std::string(100000, '[')).find("nested deeper"), std::string::npos);
}

TEST(Config, ExpertFamiliesAreRefusedWhereLayersDiffer) {
  const std::string moe =
      R"("model_type":"qwen3_moe","num_experts":4,"num_experts_per_tok":2,"moe_intermediate_size":8)";
  EXPECT_EQ(error_of(config_with(moe)), "");
  EXPECT_NE(error_of(config_with(moe + R"(,"mlp_only_layers":[0])")).find("dense layers"),
            std::string::npos);
  EXPECT_NE(error_of(config_with(moe + R"(,"num_experts_per_tok":5)")).find("from 1 to 4"),
            std::string::npos);
}

// Any bytes give a config whose graph can be built and counted, or an Error.
TEST(Config, MutatedFilesNeverCrash) {
  std::vector<std::string> seeds = {config_with("")};
  for (const char* id :
       {"gpt-oss-20b", "phi-4-mini", "ministral-3-3b", "qwen3-30b-a3b", "llama-3.1-8b",
        "qwen3.5-0.8b", "gemma-3-270m", "gemma-4-e2b", "gemma-4-26b-a4b", "nemotron-3-nano-30b-a3b",
        "muse-glimmer-30b", "deepseek-v2-lite", "deepseek-v4-flash", "deepseek-v4.1-flash",
        "glm-5.3-flash", "qwen3.8-flash-next", "kimi-k3", "inkling-small", "minimax-m3",
        "laguna-s-2.1", "gpt-j-6b", "lfm2.5-2.6b", "step-3.7-flash"}) {
    seeds.push_back(read_file(kModels / (std::string(id) + ".json")));
  }
  const std::string digits = "0123456789-.eE\"[]{},:nulltrue";
  int accepted = 0;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    Random random(1, Stream::Test, i);
    std::string text = seeds[i % seeds.size()];
    for (std::int64_t n = random.range(1, 4); n > 0 && !text.empty(); --n) {
      const auto at =
          static_cast<std::size_t>(random.range(0, static_cast<std::int64_t>(text.size()) - 1));
      switch (random.range(0, 3)) {
        case 0:
          text[at] = digits[static_cast<std::size_t>(random.range(0, 28))];
          break;
        case 1:
          text.erase(at, static_cast<std::size_t>(random.range(1, 20)));
          break;
        case 2:
          text.insert(at, text.substr(at, 8));
          break;
        default:
          text[at] = static_cast<char>(random.range(0, 255));
          break;
      }
    }
    try {
      const ModelConfig m = parse_config(text, "mutated");
      EXPECT_GT(count_parameters(m).total, 0);
      verify(build_step(m, WeightFormat{}, DType::F16, {{3, 2, true}}));
      ++accepted;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 2900);
}

TEST(Config, TheCheckpointSaysWhatItsWeightsAre) {
  for (const auto& [id, shipped] : std::vector<std::pair<std::string, std::string>>{
           {"gpt-oss-20b", "mxfp4"}, {"deepseek-r1", "fp8"}, {"deepseek-v4-flash", "fp8_mxfp4exp"},
           {"deepseek-v4.1-flash", "fp8_mxfp4exp"}, {"kimi-k2.6", "int4"}, {"kimi-k3", "mxfp4"}, {"qwen3-8b", ""}}) {
    EXPECT_EQ(model(id).shipped_weights, shipped) << id;
  }
  nlohmann::json config = nlohmann::json::parse(read_file(kModels / "qwen3-8b.json", 1 << 20));
  config["quantization_config"] = {{"quant_method", "of tomorrow"}};
  EXPECT_EQ(parse_config(config.dump(), "m").shipped_weights, "");
  config["quantization_config"] = {{"quant_method", 4}};
  EXPECT_THROW(parse_config(config.dump(), "m"), Error);
}

}  // namespace
}  // namespace tinderbox

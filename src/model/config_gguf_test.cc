// What config_from_gguf makes of headers written for the purpose and of the tiny model.
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"

namespace tinderbox {
namespace {

// A header of two layers; `change` may add keys and tensors.
struct Header {
  explicit Header(std::string arch) : architecture(std::move(arch)) {
    out.add("general.architecture", architecture);
    out.add("general.name", "test");
  }
  Header& key(std::string_view name, std::uint32_t value) {
    out.add(architecture + "." + std::string(name), value);
    return *this;
  }
  Header& key(std::string_view name, float value) {
    out.add(architecture + "." + std::string(name), value);
    return *this;
  }
  Header& key(std::string_view name, const char* value) {
    out.add(architecture + "." + std::string(name), value);
    return *this;
  }
  Header& tensor(std::string_view name, std::int64_t cols, std::int64_t rows = 1) {
    const std::vector<float> values(static_cast<std::size_t>(cols * rows), 2.0F);
    out.add_tensor(name, {cols, rows}, values);
    return *this;
  }
  Header& shape() {
    key("block_count", 2U)
        .key("context_length", 128U)
        .key("embedding_length", 64U)
        .key("feed_forward_length", 96U);
    key("attention.head_count", 4U).key("attention.head_count_kv", 2U);
    key("attention.layer_norm_rms_epsilon", 1e-6F);
    return tensor("token_embd.weight", 64, 10);
  }
  ModelConfig config() const {
    const std::vector<std::byte> bytes = out.bytes();
    return config_from_gguf(Gguf::parse(bytes, "test.gguf"));
  }
  std::string refusal(Error::Code code) const {
    try {
      config();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      return e.what();
    }
    ADD_FAILURE() << "no error";
    return {};
  }

  std::string architecture;
  GgufWriter out;
};

TEST(ConfigGguf, ReadsTheTinyModel) {
  const Gguf file =
      Gguf::open(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/tiny/tinderbox-tiny.gguf");
  const ModelConfig m = config_from_gguf(file);
  EXPECT_EQ(m.id, "tinderbox-tiny");
  EXPECT_EQ(m.family, "llama");
  EXPECT_EQ(m.n_layers, 3);
  EXPECT_EQ(m.n_heads, 3);
  EXPECT_EQ(m.n_kv_heads, 1);
  EXPECT_EQ(m.head_dim, 32);
  EXPECT_EQ(m.d_model, 96);
  EXPECT_EQ(m.n_vocab, 512);
  EXPECT_EQ(m.n_ctx, 512);
  EXPECT_TRUE(m.tied_embeddings);
  EXPECT_TRUE(m.rope.interleaved);
  EXPECT_EQ(file.at("blk.0.ffn_down.weight").dtype, DType::Q8_0);
  EXPECT_EQ(file.at("blk.0.attn_q.weight").dtype, DType::F16);
  EXPECT_EQ(file.at("output_norm.weight").dtype, DType::F32);
}

TEST(ConfigGguf, TellsFamiliesApartByTheirTensors) {
  const ModelConfig llama = Header("llama").shape().tensor("output.weight", 64, 10).config();
  EXPECT_FALSE(llama.tied_embeddings);
  EXPECT_FALSE(llama.qkv_bias);
  EXPECT_EQ(llama.head_dim, 16);
  EXPECT_EQ(llama.rope.theta, 10000.0);
  EXPECT_EQ(llama.rope.n_dims, 16);
  const ModelConfig qwen2 = Header("qwen2").shape().tensor("blk.0.attn_q.bias", 64).config();
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.attn_out_bias);
  EXPECT_FALSE(qwen2.rope.interleaved);
  const ModelConfig qwen3 = Header("qwen3")
                                .shape()
                                .key("attention.key_length", 32U)
                                .tensor("blk.0.attn_q_norm.weight", 32)
                                .config();
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_EQ(qwen3.head_dim, 32);
}

TEST(ConfigGguf, ReadsExperts) {
  const ModelConfig m = Header("qwen3moe")
                            .shape()
                            .key("expert_count", 8U)
                            .key("expert_used_count", 2U)
                            .key("expert_feed_forward_length", 32U)
                            .config();
  EXPECT_EQ(m.family, "qwen3_moe");
  EXPECT_EQ(m.n_experts, 8);
  EXPECT_EQ(m.n_experts_used, 2);
  EXPECT_EQ(m.d_ff_expert, 32);
  Header gpt("gpt-oss");
  gpt.shape()
      .key("expert_count", 4U)
      .key("expert_used_count", 4U)
      .key("expert_feed_forward_length", 64U);
  gpt.key("attention.sliding_window", 16U)
      .key("rope.scaling.type", "yarn")
      .key("rope.scaling.factor", 32.0F);
  gpt.key("rope.scaling.original_context_length", 64U).key("rope.freq_base", 150000.0F);
  gpt.tensor("blk.0.attn_sinks.weight", 4)
      .tensor("blk.0.attn_q.bias", 64)
      .tensor("blk.0.attn_output.bias", 64);
  gpt.tensor("blk.0.ffn_down_exps.bias", 64, 4);
  const ModelConfig oss = gpt.config();
  EXPECT_EQ(oss.family, "gpt_oss");
  EXPECT_EQ(oss.layer_window, (std::vector<int>{16, 0}));
  EXPECT_TRUE(oss.attn_sinks && oss.qkv_bias && oss.attn_out_bias && oss.mlp_bias);
  EXPECT_EQ(oss.activation, Activation::SwigluOai);
  EXPECT_EQ(oss.rope.scaling, RopeScaling::Yarn);
  EXPECT_EQ(oss.rope.factor, 32.0);
  EXPECT_EQ(oss.rope.n_ctx_original, 64);
}

TEST(ConfigGguf, ReadsRopeScaling) {
  EXPECT_EQ(Header("llama").shape().tensor("rope_freqs.weight", 8).config().rope.factors,
            std::vector<double>(8, 2.0));
  const Rope linear = Header("llama")
                          .shape()
                          .key("rope.scaling.type", "linear")
                          .key("rope.scaling.factor", 4.0F)
                          .config()
                          .rope;
  EXPECT_EQ(linear.scaling, RopeScaling::Linear);
  EXPECT_EQ(linear.factor, 4.0);
  EXPECT_EQ(Header("llama").shape().key("rope.scale_linear", 2.0F).config().rope.factor, 2.0);
}

TEST(ConfigGguf, NamesWhatItCannotUse) {
  EXPECT_NE(Header("mamba").refusal(Error::Code::Unsupported).find("architecture 'mamba'"),
            std::string::npos);
  EXPECT_NE(Header("llama").refusal(Error::Code::Invalid).find("llama.block_count"),
            std::string::npos);
  EXPECT_NE(Header("llama").key("block_count", 0U).refusal(Error::Code::Invalid).find("is 0"),
            std::string::npos);
  EXPECT_NE(
      Header("llama").key("block_count", 4000000000U).refusal(Error::Code::Invalid).find("1024"),
      std::string::npos);
  EXPECT_NE(
      Header("llama").key("block_count", "two").refusal(Error::Code::Invalid).find("another type"),
      std::string::npos);
  EXPECT_NE(Header("llama")
                .shape()
                .key("rope.scaling.type", "odd")
                .refusal(Error::Code::Unsupported)
                .find("'odd'"),
            std::string::npos);
  EXPECT_NE(Header("llama")
                .shape()
                .tensor("rope_freqs.weight", 7)
                .refusal(Error::Code::Invalid)
                .find("rope_freqs"),
            std::string::npos);
  EXPECT_NE(Header("llama")
                .shape()
                .key("attention.value_length", 8U)
                .refusal(Error::Code::Unsupported)
                .find("8"),
            std::string::npos);
  EXPECT_NE(Header("llama")
                .shape()
                .key("rope.dimension_count", 64U)
                .refusal(Error::Code::Invalid)
                .find("16"),
            std::string::npos);
  EXPECT_NE(Header("llama")
                .shape()
                .key("expert_count", 4U)
                .refusal(Error::Code::Invalid)
                .find("expert_used_count"),
            std::string::npos);
}

TEST(ConfigGguf, TakesOneValueALayerIfTheyAgree) {
  const auto with_heads = [](const std::vector<std::int32_t>& kv_heads) {
    Header header("llama");
    header.key("block_count", 2U).key("context_length", 128U).key("embedding_length", 64U);
    header.key("feed_forward_length", 96U).key("attention.head_count", 4U);
    header.key("attention.layer_norm_rms_epsilon", 1e-6F).tensor("token_embd.weight", 64, 10);
    header.out.add("llama.attention.head_count_kv", kv_heads);
    return header;
  };
  EXPECT_EQ(with_heads({2, 2}).config().n_kv_heads, 2);
  with_heads({2, 4}).refusal(Error::Code::Unsupported);
  with_heads({3, 3}).refusal(Error::Code::Invalid);
  with_heads({}).refusal(Error::Code::Invalid);
}

}  // namespace
}  // namespace tinderbox

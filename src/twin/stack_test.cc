#include "twin/stack.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/text.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/stacks";

std::string text_of(const std::string& id) { return read_file(kFolder / (id + ".toml")); }
Stack load(const std::string& id) { return parse_stack(text_of(id), id + ".toml"); }

template <typename E>
std::size_t index(E value) {
  return static_cast<std::size_t>(value);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string refusal(const std::string& toml) {
  try {
    parse_stack(toml, "s.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "no '" << word << "' in: " << message;
  }
}

TEST(Stack, EveryFileLoadsUnderItsName) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".toml") continue;
    ++n;
    const Stack stack = parse_stack(read_file(entry.path()), entry.path().string());
    EXPECT_EQ(stack.id, entry.path().stem().string());
    EXPECT_GE(stack.step_tokens_max, stack.block_tokens);
    for (const Efficiency& e : stack.efficiency) {
      EXPECT_GT(e.compute, 0);
      EXPECT_LE(e.compute, 1);
      EXPECT_GT(e.memory, 0);
      EXPECT_LE(e.memory, 1);
    }
    for (std::size_t i = 0; i < stack.format_memory.size(); ++i) {
      EXPECT_GT(stack.format_memory[i] * stack.format_compute[i], 0);
    }
    for (const Fact& fact : stack.facts) {
      if (fact.kind == FactKind::Assumed) {
        EXPECT_FALSE(fact.note.empty()) << stack.id << ": " << fact.key << ": say why";
      }
    }
  }
  EXPECT_GE(n, 5);
}

TEST(Stack, ArithmeticFollowsTheKernels) {
  const Stack llama = load("llama.cpp"), vllm = load("vllm");
  EXPECT_EQ(llama.format_math[index(DType::Q4_K)], MathType::INT8);
  EXPECT_EQ(llama.format_math[index(DType::F16)], MathType::F16);
  EXPECT_EQ(vllm.format_math[index(DType::INT4_G128)], MathType::F16);
  EXPECT_EQ(vllm.format_math[index(DType::FP8)], MathType::FP8);
  EXPECT_EQ(vllm.format_math[index(DType::NVFP4)], MathType::FP4);
  EXPECT_DOUBLE_EQ(vllm.format_memory[index(DType::FP8)], 1);
  EXPECT_LT(load("ollama").format_memory[index(DType::MXFP4)], 1);
  EXPECT_TRUE(llama.gguf());
  EXPECT_FALSE(vllm.gguf());
  EXPECT_EQ(llama.step_tokens_max, 512);
  EXPECT_EQ(llama.memory.pool, PoolRule::None);
  EXPECT_EQ(vllm.memory.pool, PoolRule::OfTotal);
  EXPECT_DOUBLE_EQ(vllm.memory.share, 0.9);
}

// A share of the peak is a claim about speed: what the files say must give back the measured
// library rates.
TEST(Stack, SharesGiveBackTheMeasuredRates) {
  const std::string toml =
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml");
  const Machine spark = parse_machine(toml, "dgx-spark.toml");
  const Stack vllm = load("vllm");
  const auto rate = [&](OpClass op_class, DType dtype) {
    return spark.peak(vllm.format_math[index(dtype)], spark.clock_heavy).value() *
           vllm.efficiency[index(op_class)].compute * vllm.format_compute[index(dtype)] / 1e12;
  };
  EXPECT_NEAR(rate(OpClass::MatMul, DType::BF16), 95, 3);
  EXPECT_NEAR(rate(OpClass::MatMul, DType::FP8), 188, 5);
  EXPECT_NEAR(rate(OpClass::MatMul, DType::NVFP4), 335, 10);
  const double head =
      vllm.efficiency[index(OpClass::LmHead)].memory * spark.memory_bandwidth.value();
  EXPECT_NEAR(head, 229e9, 2e9);
}

TEST(Stack, DefaultsExistForEveryWeightsFormat) {
  for (const std::string& name : weight_format_names()) {
    const Stack stack = load(std::string(default_stack(name)));
    EXPECT_NO_THROW(weight_format(name, stack.gguf())) << name;
  }
  for (const char* name : {"q4_k_m", "q8_0", "iq4_xs", "mxfp4", "Q4_1", "f16"}) {
    EXPECT_EQ(default_stack(name), "llama.cpp") << name;
  }
  for (const char* name : {"bf16", "fp8", "nvfp4", "int4", "int8"})
    EXPECT_EQ(default_stack(name), "vllm") << name;
}

TEST(Stack, SaysWhatIsWrongAndWhere) {
  const std::string good = text_of("vllm");
  ASSERT_EQ(refusal(good), "");
  expect_words(refusal(replaced(good, "[efficiency.mat_mul]", "[efficiency.mat_mull]")),
               {"efficiency.mat_mul", "no such key"});
  expect_words(refusal(good + "\n[efficiency.sponge]\ncompute_share = { value = 1, kind = "
                              "\"assumed\", source = \"FC\" }\n"),
               {"efficiency.sponge", "op class"});
  expect_words(refusal(replaced(good, "nvfp4 = \"fp4\"", "nvfp4 = \"fp5\"")),
               {"s.toml:", "format_math.nvfp4", "'fp5'", "fp4"});
  expect_words(refusal(replaced(good, "nvfp4 = \"fp4\"", "")),
               {"format_math.nvfp4", "no such key"});
  expect_words(
      refusal(replaced(good, "[format_compute_ratio]\nnvfp4", "[format_compute_ratio]\nnvfp5")),
      {"s.toml:", "nvfp5", "did you mean"});
  expect_words(refusal(replaced(good, "kv_default = \"bf16\"", "kv_default = \"bf61\"")),
               {"s.toml:", "kv_default", "bf61"});
  expect_words(refusal(replaced(good, "weights_default = \"bf16\"", "weights_default = \"q9\"")),
               {"weights_default", "q9"});
  expect_words(refusal(replaced(good, "graphs = true", "graphs = \"yes\"")),
               {"graphs", "true or false"});
  expect_words(
      refusal(replaced(good, "compute_share = { value = 0.89", "compute_share = { value = 0")),
      {"efficiency.mat_mul.compute_share", "from"});
  expect_words(refusal(replaced(good, "\"1 ms\"", "\"1 GB\"")), {"scheduler.step_time", "1 GB"});
  expect_words(
      refusal(replaced(good, "n_block_tokens = { value = 16", "n_block_tokens = { value = 0")),
      {"scheduler.n_block_tokens", "from 1"});
  expect_words(refusal(replaced(good, ", kind = \"assumed\"", "")), {"s.toml:", "kind"});
}

TEST(Stack, MutatedFilesNeverCrash) {
  const std::string good = text_of("llama.cpp");
  int refused = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    Random random(11, Stream::Test, seed);
    std::string text = good;
    for (std::int64_t i = random.range(1, 3); i > 0; --i) {
      const auto at =
          static_cast<std::size_t>(random.range(0, static_cast<std::int64_t>(text.size()) - 1));
      if (random.range(0, 1) == 0) {
        text.erase(at, static_cast<std::size_t>(random.range(1, 30)));
      } else {
        text[at] = static_cast<char>(random.range(0, 255));
      }
    }
    refused += refusal(text).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace tinderbox

#include "twin/stack.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

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

std::vector<Stack> all_stacks() {
  std::vector<Stack> stacks;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".toml") continue;
    stacks.push_back(parse_stack(read_file(entry.path()), entry.path().string()));
    EXPECT_EQ(stacks.back().id, entry.path().stem().string());
  }
  return stacks;
}

TEST(Stack, EveryFileLoadsUnderItsName) {
  const std::vector<Stack> stacks = all_stacks();
  EXPECT_GE(stacks.size(), 5U);
  for (const Stack& stack : stacks) {
    EXPECT_GE(stack.step_tokens_max, stack.block_tokens);
    for (const Kernels& k : stack.kernels) {
      EXPECT_GT(k.memory_share, 0) << stack.id << " " << k.name;
      EXPECT_LE(k.memory_share, 1) << stack.id << " " << k.name;
      EXPECT_GT(k.compute_share, 0) << stack.id << " " << k.name;
      EXPECT_LE(k.compute_share, 1) << stack.id << " " << k.name;
    }
    for (const Interval& interval : stack.intervals) {
      EXPECT_GT(interval.low, 0);
      EXPECT_LT(interval.low, 1);
      EXPECT_GT(interval.high, 1);
    }
    for (const Fact& fact : stack.facts) {
      if (fact.kind == FactKind::Assumed) {
        EXPECT_FALSE(fact.note.empty()) << stack.id << ": " << fact.key << ": say why";
      }
    }
  }
}

// calibrate fits what parameters() lists; the files mark nothing else as fitted.
TEST(Stack, ParametersAreTheFittedKeysAndNoOthers) {
  for (Stack& stack : all_stacks()) {
    std::set<std::string> fitted, listed;
    for (const Fact& fact : stack.facts) {
      if (fact.kind == FactKind::Fitted) fitted.insert(fact.key);
      EXPECT_EQ(fact.kind == FactKind::Fitted, fact.fit.has_value()) << fact.key;
    }
    for (const StackParameter& p : parameters(stack)) {
      EXPECT_TRUE(listed.insert(p.key).second) << p.key << " twice";
    }
    EXPECT_EQ(listed, fitted) << stack.id;
  }
}

// Of machines, likewise: what they reach, all three or none, and only of those that stacks were not fitted on.
TEST(Stack, ParametersOfMachinesAreTheirFittedKeys) {
  int n = 0;
  const Catalogue machines = Catalogue::from_folder(
      "machine", std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines", ".toml");
  for (const std::string& id : machines.ids()) {
    Machine machine = machine_of(machines, id);
    std::set<std::string> fitted, listed;
    for (const Fact& fact : machine.facts) {
      if (fact.kind == FactKind::Fitted && fact.key.starts_with("reach.")) fitted.insert(fact.key);
    }
    for (const StackParameter& p : parameters(machine)) listed.insert(p.key);
    EXPECT_EQ(listed, fitted) << machine.id;
    EXPECT_EQ(listed.size(), machine.body ? 0U : 3U) << machine.id;
    double next = 2;
    for (const StackParameter& p : parameters(machine)) *p.value = next++;
    n += listed.empty() ? 0 : 1;
    if (!listed.empty()) {
      EXPECT_EQ(machine.memory_ratio, 2);
      EXPECT_EQ(machine.compute_ratio, 3);
      EXPECT_EQ(machine.kernel_ratio, 4);
    }
  }
  EXPECT_GT(n, 5);
}

TEST(Stack, ParametersPointAtTheStacksOwnNumbers) {
  Stack stack = load("vllm");
  double next = 2;
  for (const StackParameter& p : parameters(stack)) *p.value = next++;
  EXPECT_EQ(stack.kernels[0].memory_share, 2);
  EXPECT_EQ(stack.kernels[0].compute_share, 3);
  EXPECT_EQ(stack.price.request_time, next - 1);
  std::set<double> seen;
  for (const StackParameter& p : parameters(stack)) seen.insert(*p.value);
  EXPECT_EQ(seen.size(), parameters(stack).size());  // no two are the same number
}

// What a fit can leave behind: values within reach of what was believed, errors below the spread
// that the prior alone leaves.
TEST(Stack, FittedNumbersRespectTheirPriors) {
  for (const Stack& stack : all_stacks()) {
    Stack copy = stack;
    for (const StackParameter& p : parameters(copy)) {
      const auto fact = std::ranges::find(stack.facts, p.key, &Fact::key);
      ASSERT_NE(fact, stack.facts.end());
      ASSERT_TRUE(fact->fit.has_value());
      const FitResult& fit = *fact->fit;
      EXPECT_GT(*p.value, 0) << stack.id << " " << p.key;
      EXPECT_GT(fit.prior, 0) << stack.id << " " << p.key;
      EXPECT_LE(std::abs(std::log(*p.value / fit.prior)), 4 * fit.spread + 1e-3)
          << stack.id << " " << p.key;
      EXPECT_LE(fit.error, fit.spread + 1e-3) << stack.id << " " << p.key;
    }
  }
}

TEST(Stack, ArithmeticFollowsTheKernels) {
  const Stack llama = load("llama.cpp"), vllm = load("vllm");
  const auto math = [](const Stack& stack, DType dtype) {
    EXPECT_NE(stack.kernels_of(dtype), nullptr);
    return stack.kernels_of(dtype)->math;
  };
  EXPECT_EQ(math(llama, DType::Q4_K), MathType::INT8);
  EXPECT_EQ(math(llama, DType::F16), MathType::F16);
  EXPECT_EQ(math(llama, DType::BF16), MathType::F16);
  EXPECT_EQ(math(vllm, DType::INT4_G128), MathType::F16);
  EXPECT_EQ(math(vllm, DType::FP8), MathType::FP8);
  EXPECT_EQ(math(vllm, DType::MXFP4), MathType::F16);  // widened, unless another path is asked for
  EXPECT_EQ(llama.kernels_of(DType::FP8), nullptr);
  EXPECT_EQ(vllm.kernels_of(DType::Q4_K), nullptr);
  EXPECT_TRUE(llama.gguf());
  EXPECT_FALSE(vllm.gguf());
  EXPECT_EQ(llama.micro_tokens_max, 512);
  EXPECT_EQ(llama.memory.pool, PoolRule::None);
  EXPECT_EQ(vllm.memory.pool, PoolRule::OfTotal);
  EXPECT_DOUBLE_EQ(vllm.memory.share, 0.9);
}

// A share of the peak is a claim about speed: products of a serving stack reach between half and
// all of what the best library was measured to reach, and read memory no faster than any test did
// (5 %: what good sources differ by).
TEST(Stack, SharesAreWithinTheMeasuredRates) {
  const std::string toml =
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml");
  const Machine spark = parse_machine(toml, "dgx-spark.toml");
  const Stack vllm = load("vllm"), native = with_path(vllm, "cutlass", "");
  const auto tflops = [&](const Stack& stack, DType dtype) {
    const Kernels& k = *stack.kernels_of(dtype);
    return spark.peak(k.math, spark.clock_heavy).value() * k.compute_share / 1e12;
  };
  const auto within = [](double rate, double measured) {
    EXPECT_GT(rate, 0.5 * measured * 0.95);
    EXPECT_LT(rate, measured * 1.05);
  };
  within(tflops(vllm, DType::BF16), 95);
  within(tflops(vllm, DType::FP8), 188);
  within(tflops(native, DType::NVFP4), 335);
  for (const Stack& stack : all_stacks()) {
    // Our own engine's shares are of what a probe measured, not of a bus.
    if (stack.id == "tinderbox") continue;
    for (const Kernels& k : stack.kernels) {
      EXPECT_LT(spark.memory_bandwidth.value() * k.memory_share,
                1.05 * spark.memory_read_bandwidth.value())
          << stack.id << " " << k.name;
    }
  }
}

TEST(UsualWeights, AreThoseOfTheCheckpointWhereThereAreSuchFiles) {
  ModelConfig model;
  EXPECT_EQ(usual_weights(model, load("vllm")), load("vllm").weights_default);
  model.shipped_weights = "fp8";
  EXPECT_EQ(usual_weights(model, load("vllm")), "fp8");
  EXPECT_EQ(usual_weights(model, load("llama.cpp")), load("llama.cpp").weights_default);  // no GGUF has it
  model.shipped_weights = "mxfp4";
  EXPECT_EQ(usual_weights(model, load("llama.cpp")), "mxfp4");
}

TEST(Stack, LlamaCppComputesABatchInMicroBatches) {
  for (const char* name : {"llama.cpp", "ik_llama.cpp", "llamafile"}) {
    EXPECT_EQ(load(name).step_tokens_max, 2048) << name;
    EXPECT_EQ(load(name).micro_tokens_max, 512) << name;
  }
  EXPECT_EQ(load("vllm").micro_tokens_max, 0);
}

TEST(Stack, DefaultsExistForEveryWeightsFormat) {
  for (const std::string& name : weight_format_names()) {
    const Stack stack = load(std::string(default_stack(name)));
    EXPECT_NO_THROW(weight_format(name, stack.file)) << name;
  }
  for (const char* name : {"q4_k_m", "q8_0", "iq4_xs", "mxfp4", "Q4_1", "f16"}) {
    EXPECT_EQ(default_stack(name), "llama.cpp") << name;
  }
  for (const char* name : {"bf16", "fp8", "nvfp4", "int4", "int8"})
    EXPECT_EQ(default_stack(name), "vllm") << name;
}

// The line of a key in a section, without the line break.
std::string line_of(const std::string& toml, std::string_view section, std::string_view key) {
  const std::size_t at = toml.find(format("\n{} = ", key), toml.find(format("[{}]\n", section)));
  EXPECT_NE(at, std::string::npos) << section << "." << key;
  return toml.substr(at + 1, toml.find('\n', at + 1) - at - 1);
}

TEST(Stack, SaysWhatIsWrongAndWhere) {
  const std::string good = text_of("vllm");
  ASSERT_EQ(refusal(good), "");
  expect_words(refusal(replaced(good, "kv_default = \"bf16\"", "kv_default = \"bf61\"")),
               {"s.toml:", "kv_default", "bf61"});
  expect_words(refusal(replaced(good, "weights_default = \"bf16\"", "weights_default = \"q9\"")),
               {"weights_default", "q9"});
  expect_words(refusal(replaced(good, "graphs = true", "graphs = \"yes\"")),
               {"graphs", "true or false"});
  expect_words(refusal(replaced(good, "reads = \"checkpoint\"", "reads = \"tarball\"")),
               {"s.toml:", "reads", "gguf, ollama, checkpoint, mlx", "'tarball'"});
  expect_words(
      refusal(replaced(good, "n_block_tokens = { value = 16", "n_block_tokens = { value = 0")),
      {"scheduler.n_block_tokens", "from 1"});
  expect_words(refusal(replaced(good, ", kind = \"assumed\"", "")), {"s.toml:", "kind"});
}

TEST(Stack, SaysWhatIsWrongWithKernels) {
  const std::string good = text_of("vllm");
  const std::string fp8 = line_of(good, "formats", "fp8");
  expect_words(refusal(replaced(good, fp8, "fp8 = \"fp9\"")),
               {"s.toml:", "formats.fp8", "[kernels]", "marlin4", "'fp9'", "did you mean 'fp"});
  expect_words(refusal(replaced(good, fp8, "fp9 = \"fp8\"")),
               {"s.toml:", "formats.fp9", "weights format", "did you mean"});
  const std::string path = line_of(good, "paths.marlin", "fp8");
  expect_words(refusal(replaced(good, path, "fp8 = \"marlin9\"")),
               {"s.toml:", "paths.marlin.fp8", "'marlin9'"});
  expect_words(refusal(replaced(good, "math = \"fp8\"", "math = \"fp5\"")),
               {"s.toml:", "kernels.fp8.math", "fp8", "'fp5'"});
  expect_words(refusal(replaced(good, "math = \"fp8\"\n", "")),
               {"kernels.fp8.math", "no such key"});
  const std::string share = line_of(good, "kernels.fp8", "memory_share");
  std::string zero = share;
  zero.replace(zero.find("value = "), zero.find(", kind") - zero.find("value = "), "value = 0");
  expect_words(refusal(replaced(good, share, zero)), {"kernels.fp8.memory_share", "from 0.0001"});
  expect_words(refusal(replaced(good, share + "\n", "")),
               {"kernels.fp8.memory_share", "no such key"});
}

TEST(Stack, SaysWhatIsWrongWithAFittedNumber) {
  const std::string good = text_of("vllm");
  const std::string line = line_of(good, "price", "step_time");
  for (const std::string attribute : {"prior", "spread", "error", "rows"}) {
    const std::size_t begin = line.find(", " + attribute + " = ");
    ASSERT_NE(begin, std::string::npos);
    std::string without = line;
    without.erase(begin, line.find(',', begin + 2) - begin);
    expect_words(refusal(replaced(good, line, without)),
                 {"s.toml:", "price.step_time", attribute, "missing"});
  }
  std::string assumed = replaced(line, "kind = \"fitted\"", "kind = \"assumed\"");
  expect_words(refusal(replaced(good, line, assumed)), {"price.step_time", "prior", "is there"});
  std::string wrong = line;
  wrong.replace(wrong.find("prior = "), wrong.find(", spread") - wrong.find("prior = "),
                "prior = \"1 GB\"");
  expect_words(refusal(replaced(good, line, wrong)), {"price.step_time", "1 GB"});
  expect_words(refusal(replaced(good, line, replaced(line, "step_time", "stop_time"))),
               {"price.step_time", "no such key", "stop_time"});
  expect_words(refusal(replaced(good, line + "\n", "")), {"price.step_time", "no such key"});
}

TEST(Stack, SaysWhatIsWrongWithAnInterval) {
  const std::string good = text_of("vllm");
  const auto with = [&](std::string_view key, std::string_view value) {
    return replaced(good, line_of(good, "interval", key),
                    format("{} = {{ value = {}, kind = \"derived\", source = \"HERE\" }}", key, value));
  };
  EXPECT_EQ(refusal(with("decode_low_ratio", "1")), "");
  expect_words(refusal(with("decode_low_ratio", "1.01")), {"s.toml:", "interval.decode_low_ratio", "1.01"});
  expect_words(refusal(with("decode_low_ratio", "0")), {"interval.decode_low_ratio", "from 0.001 to 1"});
  expect_words(refusal(with("ttft_high_ratio", "0.9")), {"interval.ttft_high_ratio", "from 1"});
  expect_words(refusal(with("serve_high_ratio", "\"wide\"")), {"interval.serve_high_ratio"});
  expect_words(refusal(replaced(good, line_of(good, "interval", "prefill_low_ratio"), "")),
               {"interval.prefill_low_ratio", "no such key"});
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

#include "box/validate_memory.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "twin/memory_plan.h"

namespace tinderbox {
namespace {

const std::string kData = std::string(TINDERBOX_SOURCE_DIR) + "/data/";

struct Known {
  Catalogue machines{"machine"}, stacks{"stack"}, models{"model"};
  Known() {
    machines.add("dgx-spark", read_file(kData + "machines/dgx-spark.toml"));
    for (const char* id : {"vllm", "llama.cpp", "trtllm"})
      stacks.add(id, read_file(kData + "stacks/" + id + ".toml"));
    for (const char* id : {"llama-3.1-8b", "qwen3-235b-a22b"})
      models.add(id, read_file(kData + "models/" + id + ".json"));
  }
};

MemoryOutcome predict_line(const std::string& line) {
  static const Known known;
  const Csv csv = Csv::parse(
      "id,machine,nodes,stack_norm,base,weights_norm,kv_norm,prompt_tokens,concurrency,locator,notes\n" +
          line + "\n",
      "rows.csv");
  return predict_memory(csv, 0, {known.machines, known.stacks, known.models});
}

TEST(ValidateMemory, ReadsWhatWasRead) {
  EXPECT_EQ(memory_reading("Available KV cache line", ""), MemoryReading::KvPool);
  EXPECT_EQ(memory_reading("Weight resident per node", ""), MemoryReading::Weights);
  EXPECT_EQ(memory_reading("model load per rank", "KV 17 GiB left"), MemoryReading::Weights);
  EXPECT_EQ(memory_reading("stress row: rank 0 minimum", "minimum FREE memory"), MemoryReading::Free);
  EXPECT_EQ(memory_reading("EngineCore 104277 MiB", "one EngineCore"), MemoryReading::Process);
  EXPECT_EQ(memory_reading("TP=2 halves memory", "per rank"), MemoryReading::Weights);
  EXPECT_EQ(memory_reading("resident", "docker stats figure"), MemoryReading::Container);
  EXPECT_EQ(memory_reading("mem_used_mb", "used per node"), MemoryReading::InUse);
}

TEST(ValidateMemory, ReadsTheShare) {
  EXPECT_EQ(memory_share("at util 0.85 and more"), 0.85);
  EXPECT_EQ(memory_share("gpu-memory-utilization 0.90"), 0.9);
  EXPECT_EQ(memory_share("utilisation=0.7"), 0.7);
  EXPECT_EQ(memory_share("util is 90 %, util 90"), std::nullopt);
  EXPECT_EQ(memory_share("utility 1.5 util 0"), std::nullopt);
  EXPECT_EQ(memory_share(""), std::nullopt);
}

// More share, more in use and less free; they add up to what is visible.
TEST(ValidateMemory, InUseAndFreeAddUp) {
  double before = 0;
  for (const char* share : {"0.5", "0.7", "0.9"}) {
    const std::string notes = format(",x,used at util {}", share);
    const double used = predict_line("a,dgx-spark,1,vllm,llama-3.1-8b,fp8,,,1" + notes).value_gb;
    const double spare =
        predict_line(format("a,dgx-spark,1,vllm,,,,,1,x,minimum free memory util {}", share)).value_gb;
    EXPECT_NEAR(used + spare, 121.69 * kGiB / 1e9, 1e-6);
    EXPECT_GT(used, before);
    before = used;
  }
}

// What one process of the program holds is what is in use without the system and the other processes: its share.
TEST(ValidateMemory, AProcessHoldsItsShare) {
  const double all = predict_line("a,dgx-spark,1,vllm,llama-3.1-8b,fp8,,,1,used,util 0.85").value_gb;
  const double process = predict_line("a,dgx-spark,1,vllm,,,,,1,EngineCore,util 0.85").value_gb;
  EXPECT_NEAR(process, 0.85 * 121.69 * kGiB / 1e9, 1e-6);
  EXPECT_GT(all, process + 5);
}

// 235 B parameters in 4 bits with a 16-bit scale for each 128, halved over two boxes: 62.5 GB; a source
// read 61.9.
TEST(ValidateMemory, WeightsAreSplitOverTheNodes) {
  const auto weights = [](int nodes) {
    return predict_line(format("a,dgx-spark,{},vllm,qwen3-235b-a22b,int4,,,,Weight resident,", nodes))
        .value_gb;
  };
  EXPECT_NEAR(weights(2), 62, 1);
  EXPECT_DOUBLE_EQ(weights(1), 2 * weights(2));
}

// A source that trained 8 B parameters with adapters read 16.94 GB, another of 70 B 73.66 on each of two.
TEST(ValidateMemory, TrainsAdapters) {
  const Csv csv = Csv::parse(
      "id,machine,nodes,stack_norm,base,weights_norm,prompt_tokens,concurrency,locator,notes\n"
      "a,dgx-spark,1,unsloth,llama-3.1-8b,bf16,,8,table,peak of LoRA\n"
      "b,dgx-spark,2,unsloth,llama-3.1-8b,bf16,,8,table,peak of LoRA r32\n"
      "c,dgx-spark,1,pytorch,llama-3.1-8b,bf16,,8,table,peak\n"
      "d,dgx-spark,1,pytorch,llama-3.1-8b,bf16,16,8,DPO table,peak\n",
      "rows.csv");
  const Known known;
  Catalogue trainers{"trainer"};
  for (const char* id : {"unsloth", "pytorch"})
    trainers.add(id, read_file(kData + "trainers/" + id + ".toml"));
  const TwinCatalogues resources{known.machines, known.stacks, known.models, &trainers};
  const double one = predict_memory(csv, 0, resources).value_gb;
  EXPECT_NEAR(one, 16.94, 0.5);
  const double two = predict_memory(csv, 1, resources).value_gb;
  EXPECT_GT(2 * two, one);
  EXPECT_LT(two, one);
  EXPECT_STREQ(predict_memory(csv, 2, resources).refused, "missing column");
  EXPECT_STREQ(predict_memory(csv, 3, resources).refused, "preference training");
}

TEST(ValidateMemory, RefusesWhatItDoesNotKnow) {
  EXPECT_STREQ(predict_line("a,nonesuch,1,vllm,llama-3.1-8b,fp8,,,,x,").refused, "unknown machine");
  EXPECT_STREQ(predict_line("a,dgx-spark,1,nonesuch,llama-3.1-8b,fp8,,,,x,").refused,
               "unknown stack");
  EXPECT_STREQ(predict_line("a,dgx-spark,1,trtllm,nonesuch,fp8,,,,x,").refused, "unknown model");
  EXPECT_STREQ(predict_line("a,dgx-spark,1,trtllm,llama-3.1-8b,nonesuch,,,,x,").refused,
               "unknown weights format");
  EXPECT_STREQ(predict_line("a,dgx-spark,1,trtllm,llama-3.1-8b,fp8,nonesuch,,,x,").refused,
               "unknown kv format");
  EXPECT_STREQ(predict_line("a,dgx-spark,1,llama.cpp,llama-3.1-8b,q4_k_m,,,,x,").refused,
               "missing column");
  EXPECT_THROW(predict_line("a,dgx-spark,-1,trtllm,llama-3.1-8b,fp8,,,,x,"), Error);
  EXPECT_THROW(predict_line("a,dgx-spark,1,trtllm,llama-3.1-8b,fp8,,1e99,,x,"), Error);
}

}  // namespace
}  // namespace tinderbox

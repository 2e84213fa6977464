#include "twin/train_memory.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

const std::filesystem::path kFolder =
    std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/trainers";

Trainer load(const std::string& id) {
  return parse_trainer(read_file(kFolder / (id + ".toml")), id + ".toml");
}

TEST(TrainMemory, EveryFileLoadsUnderItsName) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    ++n;
    EXPECT_EQ(load(entry.path().stem().string()).id, entry.path().stem().string());
  }
  EXPECT_GE(n, 3);
  EXPECT_THROW(parse_trainer("id = \"x\"", "x.toml"), Error);
}

TEST(TrainMemory, GrowsWithEverything) {
  const Trainer trainer = load("pytorch");
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    Random random(12, Stream::Test, seed);
    const ModelConfig model = random_model(random);
    const TrainingDemand a{.tokens = random.range(0, 1000)};
    TrainingDemand more = a;
    more.tokens += 100;
    const Bytes peak = training_peak(model, trainer, a);
    EXPECT_GT(training_peak(model, trainer, more), peak);
    TrainingDemand fp8 = a;
    fp8.fp8 = true;
    EXPECT_GT(training_peak(model, trainer, fp8), peak);
    TrainingDemand two = a;
    two.ranks = 2;
    EXPECT_LT(training_peak(model, trainer, two), peak);
  }
  const ModelConfig model = dense_model();
  const auto of = [&](bool checkpoints, int rank) {
    return training_peak(model, trainer,
                         {.tokens = 4096, .checkpoints = checkpoints, .fp8 = false, .adapter_rank = rank});
  };
  EXPECT_LT(of(true, 0), of(false, 0));
  EXPECT_LT(of(true, 16), of(true, 0));
  EXPECT_LT(of(true, 16), of(true, 32));
}

// Qwen3-0.6B, sequences of 1024, checkpoints: 21, 29, 47, 81 GB for 2, 4, 8, 16 of them (natolambert).
TEST(TrainMemory, FullFineTuneIsNearTheMeasured) {
  const ModelConfig model = parse_config(
      read_file(std::string(TINDERBOX_SOURCE_DIR) + "/data/models/qwen3-0.6b.json"), "qwen3-0.6b");
  const Trainer trainer = load("pytorch");
  for (const auto& [batch, gigabytes] : {std::pair{2, 21.0}, {4, 29.0}, {8, 47.0}, {16, 81.0}}) {
    const Bytes peak =
        training_peak(model, trainer, {.tokens = 1024 * batch, .checkpoints = true});
    EXPECT_NEAR(peak.value() / 1e9, gigabytes, 0.04 * gigabytes) << batch;
  }
}

}  // namespace
}  // namespace tinderbox

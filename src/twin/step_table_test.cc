#include "twin/step_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/mapped_file.h"
#include "base/random.h"
#include "machine/machine.h"
#include "model/config.h"
#include "twin/speculation.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

StepSums sums_of(const std::vector<Segment>& segments, std::size_t n_decoding) {
  StepSums sums;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& s = segments[i];
    if (i < n_decoding) {
      ++sums.n_decoding;
      sums.decoding_past += s.n_past;
      continue;
    }
    ++sums.n_prompts;
    sums.prompt_tokens += s.n_new;
    sums.prompt_past += std::int64_t{s.n_past} * s.n_new;
    if (s.n_past > 0) {
      ++sums.n_continued;
      sums.continued_tokens += s.n_new;
    }
    sums.last_samples = s.samples;
  }
  return sums;
}

// As a busy box has them: many decode at unlike pasts, and a prompt or two come in, perhaps in chunks.
std::vector<Segment> busy_step(Random& random, std::size_t& n_decoding) {
  std::vector<Segment> segments;
  n_decoding = static_cast<std::size_t>(random.range(0, 40));
  const double scale = std::exp(4 + 4 * random.uniform());
  for (std::size_t i = 0; i < n_decoding; ++i) {
    const auto n_past = static_cast<std::int32_t>(1 + scale * (0.5 + random.uniform()));
    segments.push_back({.n_past = n_past, .n_new = 1, .samples = true});
  }
  std::int64_t n_prompts = random.range(0, 2);
  if (segments.empty()) n_prompts = std::max<std::int64_t>(n_prompts, 1);
  for (std::int64_t i = 0; i < n_prompts; ++i) {
    const auto n_new = static_cast<std::int32_t>(random.range(100, 1500));
    const auto n_past = static_cast<std::int32_t>(i == 0 && random.range(0, 1) == 0 ? random.range(1, 8000) : 0);
    segments.push_back({.n_past = n_past, .n_new = n_new, .samples = true});
  }
  return segments;
}

TEST(StepTable, HoldsToTheTwinForEveryModelOfTheCatalogue) {
  const std::filesystem::path data = TINDERBOX_SOURCE_DIR "/data";
  TwinModel twin;
  twin.machine = parse_machine(read_file(data / "machines/dgx-spark.toml"), "dgx-spark.toml");
  twin.stack = parse_stack(read_file(data / "stacks/vllm.toml"), "vllm.toml");
  twin.kv = DType::F16;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(data / "models")) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  ASSERT_GT(files.size(), 20u);
  Random random(1, Stream::Test);
  std::vector<double> errors;
  for (const auto& file : files) {
    twin.model = load_config(file);
    twin.weights = weight_format("bf16", twin.stack.file);
    const StepModel model(twin);
    StepTable table(model);
    for (int i = 0; i < 20; ++i) {
      std::size_t n_decoding = 0;
      const std::vector<Segment> segments = busy_step(random, n_decoding);
      const double exact = model.price(segments).time.value();
      const double ours = to_seconds(table.time(sums_of(segments, n_decoding))).value();
      errors.push_back(std::abs(ours / exact - 1));
      EXPECT_LT(errors.back(), kStepTableErrorMax)
          << file.filename() << ", " << n_decoding << " decoding of " << segments.size();
    }
  }
  std::ranges::sort(errors);
  EXPECT_LT(errors[errors.size() / 2], 0.001);
  EXPECT_LT(errors[errors.size() * 95 / 100], kStepTableError);
}

// One prompt of up to 512 tokens, or two, alone or beside a sequence at a knot, is no guess.
TEST(StepTable, IsExactAtItsKnots) {
  const StepModel model(testing::round_twin());
  StepTable table(model);
  for (const std::int32_t n_new : {1, 2, 17, 300, 511}) {
    const std::vector<Segment> segments = {{.n_past = 256, .n_new = 1, .samples = true},
                                           {.n_past = 0, .n_new = n_new, .samples = true}};
    EXPECT_EQ(table.time(sums_of(segments, 1)), to_duration(time_of_step(model, segments)));
    const std::vector<Segment> chunk = {{.n_past = 0, .n_new = n_new, .samples = false}};
    EXPECT_EQ(table.time(sums_of(chunk, 0)), to_duration(time_of_step(model, chunk)));
  }
}

TEST(StepTable, AlikeStepsTakeTheSameTimeAndTheNextMore) {
  const StepModel model(testing::round_twin());
  StepTable table(model);
  Random random(3, Stream::Test);
  for (int i = 0; i < 300; ++i) {
    const std::int64_t n = random.range(1, 300), past = n * random.range(1, 5000) + random.range(0, n - 1);
    const std::int64_t n_alike = StepTable::n_alike(n, past);
    ASSERT_GE(n_alike, 1);
    const Duration time = table.decode_time(n, past);
    EXPECT_EQ(table.decode_time(n, past + (n_alike - 1) * n), time);
    EXPECT_GT(table.decode_time(n, past + n_alike * n), time);
    EXPECT_EQ(table.time({.n_decoding = n, .decoding_past = past}), time);
  }
}

}  // namespace
}  // namespace tinderbox

#include "twin/predict.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

StepModel dense_twin() {
  return StepModel({round_machine(), round_stack(), dense_model(), all_in(DType::F16), DType::F16});
}

StepModel windowed_moe_twin() {
  ModelConfig model = dense_model();
  model.n_experts = 32;
  model.n_experts_used = 4;
  model.d_ff_expert = 1024;
  for (int i = 0; i < model.n_layers; ++i) model.layer_window.push_back(i % 2 == 0 ? 128 : 0);
  return StepModel({round_machine(), round_stack(), model, all_in(DType::Q8_0), DType::F16});
}

// One stream, step by step: what predict() integrates.
Seconds played(const StepModel& model, const Point& p, Seconds* first_token) {
  Seconds time;
  std::int64_t past = p.depth;
  for (std::int64_t left = p.prompt; left > 0;) {
    const std::int64_t n = std::min(left, p.step_tokens > 0 ? p.step_tokens : std::int64_t{512});
    left -= n;
    time += model
                .price(std::vector<Segment>{
                    {static_cast<std::int32_t>(past), static_cast<std::int32_t>(n), left == 0}})
                .time;
    past += n;
  }
  *first_token = time;
  for (std::int64_t i = p.prompt > 0 ? 1 : 0; i < p.gen; ++i) {
    time += model.price(std::vector<Segment>{{static_cast<std::int32_t>(past++), 1, true}}).time;
  }
  return time;
}

TEST(Predict, EqualsPlayingEveryStep) {
  for (const StepModel& model : {dense_twin(), windowed_moe_twin()}) {
    for (const Point& point :
         std::vector<Point>{{.prompt = 512, .gen = 128},
                            {.prompt = 2048, .gen = 32, .step_tokens = 2048},
                            {.prompt = 5000, .gen = 1},
                            {.prompt = 1, .gen = 300},
                            {.prompt = 0, .gen = 128, .depth = 60},
                            {.prompt = 700, .gen = 0, .depth = 4000},
                            {.prompt = 9000, .gen = 2000, .depth = 100, .step_tokens = 128}}) {
      Seconds first;
      const Seconds total = played(model, point, &first);
      const Prediction p = predict(model, point);
      EXPECT_NEAR(p.total.value(), total.value(), 1e-4 * total.value())
          << point.prompt << " " << point.gen;
      EXPECT_NEAR(p.ttft.value(), first.value(), 1e-4 * first.value())
          << point.prompt << " " << point.gen;
    }
  }
}

TEST(Predict, OneStreamsRateIsOneOverItsTpot) {
  const StepModel model = windowed_moe_twin();
  for (const std::int64_t prompt : {0, 1, 512, 3000}) {
    const Prediction p = predict(model, {.prompt = prompt, .gen = 100});
    EXPECT_NEAR(p.decode_tok_per_s * p.tpot.value(), 1.0, 1e-9);
    EXPECT_NEAR(p.prefill_tok_per_s * p.ttft.value(), static_cast<double>(prompt), 1e-6);
    EXPECT_NEAR(p.total.value(), (p.ttft + p.tpot * (prompt > 0 ? 99 : 100)).value(), 1e-9);
  }
}

// Streams that start at once share the steps: more of them never lower the total rate nor raise one
// stream's.
TEST(Predict, ConcurrencyTradesLatencyForThroughput) {
  const StepModel model = dense_twin();
  Prediction previous = predict(model, {.prompt = 512, .gen = 64});
  for (std::int64_t n = 2; n <= 64; n *= 2) {
    const Prediction p = predict(model, {.prompt = 512, .gen = 64, .concurrency = n});
    EXPECT_GE(p.tpot, previous.tpot);
    EXPECT_GE(p.ttft, previous.ttft);
    EXPECT_GE(p.total, previous.total);
    EXPECT_LE(p.total, predict(model, {.prompt = 512, .gen = 64}).total * static_cast<double>(n));
    previous = p;
  }
  // Beyond the stack's limit the rest waits: two waves take about as long as two runs.
  const Seconds wave = previous.total;
  const Prediction two = predict(model, {.prompt = 512, .gen = 64, .concurrency = 128});
  EXPECT_NEAR(two.total / wave, 2.0, 0.1);
}

TEST(Predict, PromptsAreReadInOrderOfArrival) {
  const StepModel model = dense_twin();
  // Each prompt fills a step, so the first token of stream i comes after i + 1 steps; the mean of 1
  // ... 4 is 2.5.
  const Prediction one = predict(model, {.prompt = 512, .gen = 1});
  const Prediction four = predict(model, {.prompt = 512, .gen = 1, .concurrency = 4});
  EXPECT_NEAR(four.ttft / one.ttft, 2.5, 1e-9);
  EXPECT_NEAR(four.prefill_tok_per_s, one.prefill_tok_per_s, 1e-6);
}

TEST(Predict, ExplanationSumsToThePhases) {
  const StepModel model = windowed_moe_twin();
  const Prediction p = predict(model, {.prompt = 3000, .gen = 64}, true);
  EXPECT_NEAR(p.prefill_step.time.value(), p.ttft.value(), 1e-12);
  for (const StepCost* step : {&p.prefill_step, &p.decode_step}) {
    Seconds sum = step->overhead;
    for (const ClassCost& c : step->classes) sum += c.time;
    EXPECT_NEAR(sum.value(), step->time.value(), 1e-9 * step->time.value());
    EXPECT_FALSE(step->classes.empty());
  }
  EXPECT_EQ(p.memory.total, plan_memory(model.twin(), 3064, 1).total);
}

StepModel gpt_oss_120b() {
  const std::string data = std::string(TINDERBOX_SOURCE_DIR) + "/data/";
  TwinModel twin;
  twin.machine = parse_machine(read_file(data + "machines/dgx-spark.toml"), "dgx-spark.toml");
  twin.stack = parse_stack(read_file(data + "stacks/llama.cpp.toml"), "llama.cpp.toml");
  twin.model = load_config(data + "models/gpt-oss-120b.json");
  twin.weights = weight_format("mxfp4", twin.stack.gguf());
  twin.kv = kv_format(twin.stack.kv_default);
  return StepModel(std::move(twin));
}

// Published for gpt-oss-120b mxfp4 in llama.cpp with micro-batches of 2048: 1,700 to 1,950 prompt
// tokens a second and 50 to 58 generated ones (data/measurements/inference.csv, ggml-org and
// others). The file is 63.4 GB.
TEST(Predict, IsNearThePublished) {
  const StepModel model = gpt_oss_120b();
  const Prediction prefill = predict(model, {.prompt = 2048, .gen = 1, .step_tokens = 2048});
  EXPECT_GT(prefill.prefill_tok_per_s, 1700 * 0.75);
  EXPECT_LT(prefill.prefill_tok_per_s, 1950 * 1.25);
  EXPECT_EQ(prefill.prefill_step.bound, Bound::Compute);
  const Prediction decode = predict(model, {.prompt = 0, .gen = 32});
  EXPECT_GT(decode.decode_tok_per_s, 50 * 0.85);
  EXPECT_LT(decode.decode_tok_per_s, 58 * 1.15);
  EXPECT_EQ(decode.decode_step.bound, Bound::Memory);
  EXPECT_NEAR(decode.memory.weights.value(), 63.4e9, 0.02 * 63.4e9);
  EXPECT_EQ(decode.memory.fit, Fit::Fits);
}

// The table that `predict --explain` prints, of a machine of round numbers;
// ExplanationSumsToThePhases is its law.
TEST(Predict, GoldenExplanation) {
  const Prediction p = predict(windowed_moe_twin(), {.prompt = 1000, .gen = 32}, true);
  std::string table;
  for (const StepCost* step : {&p.prefill_step, &p.decode_step}) {
    for (const ClassCost& c : step->classes) {
      table += format("{} {} {:.1f}us {}\n", op_class_name(c.op_class), c.n_ops,
                      1e6 * c.time.value(), bound_name(c.bound));
    }
    table += format("overhead {:.1f}us; step {:.1f}us {}\n", 1e6 * step->overhead.value(),
                    1e6 * step->time.value(), bound_name(step->bound));
  }
  EXPECT_EQ(table, R"(embed 2 207.4us memory
norm 129 20987.2us memory
mat_mul 320 5388686.3us compute
lm_head 1 5591.7us memory
attention 64 341139.9us compute
kv_store 64 3932.2us memory
elementwise 321 60303.1us memory
expert 192 6444370.9us compute
route 128 26894.8us memory
overhead 46.0us; step 12292159.5us compute
embed 1 1.0us launch
norm 65 69.3us launch
mat_mul 160 14465.2us memory
lm_head 1 5582.7us memory
attention 32 782.4us memory
kv_store 32 33.3us launch
elementwise 161 166.1us launch
expert 96 17208.8us memory
route 64 68.2us launch
overhead 23.0us; step 38400.0us memory
)");
}

TEST(Predict, RefusesWhatCannotBe) {
  const StepModel model = dense_twin();
  const auto code = [&](const Point& point) {
    try {
      predict(model, point);
    } catch (const Error& error) {
      return error.code();
    }
    return Error::Code::Busy;
  };
  EXPECT_EQ(code({.prompt = 131072, .gen = 1}), Error::Code::Unsupported);
  EXPECT_EQ(code({.prompt = std::int64_t{1} << 62, .gen = std::int64_t{1} << 62}),
            Error::Code::Unsupported);
  EXPECT_EQ(code({.prompt = -1}), Error::Code::Invalid);
  EXPECT_EQ(code({.prompt = 0, .gen = 0}), Error::Code::Invalid);
  EXPECT_EQ(code({.concurrency = 0}), Error::Code::Invalid);
  EXPECT_EQ(code({.concurrency = 1 << 20}), Error::Code::Invalid);
  EXPECT_EQ(code({.prompt = 131071, .gen = 1}), Error::Code::Busy);  // the edge is allowed
}

}  // namespace
}  // namespace tinderbox

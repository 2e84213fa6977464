#include "twin/predict.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

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

// What a client waits beside the steps: before its first token, and once a run.
TEST(Predict, RequestTimeIsPartOfTtftAndTotalAlone) {
  const StepModel plain = dense_twin();
  Stack stack = round_stack();
  stack.price.request_time = 7;
  const StepModel waiting = plain.with_stack(stack);
  const Point point{.prompt = 700, .gen = 20, .concurrency = 3};
  const Prediction before = predict(plain, point), after = predict(waiting, point);
  EXPECT_DOUBLE_EQ(after.ttft.value(), before.ttft.value() + 7);
  EXPECT_DOUBLE_EQ(after.total.value(), before.total.value() + 7);
  EXPECT_EQ(after.tpot, before.tpot);
  EXPECT_EQ(after.prompts_read, before.prompts_read);
  EXPECT_EQ(after.prefill_tok_per_s, before.prefill_tok_per_s);
  EXPECT_EQ(after.decode_tok_per_s, before.decode_tok_per_s);
  EXPECT_EQ(predict(waiting, {.prompt = 0, .gen = 20}).ttft.value(), 0);  // there is none
}

TEST(Predict, FirstDecodeStepIsOneTokenAfterOne) {
  const StepModel model = dense_twin();
  const std::vector<Segment> step{{.n_past = 1, .n_new = 1}};
  EXPECT_EQ(predict(model, {.prompt = 900, .gen = 30, .concurrency = 4}).first_decode_step,
            model.price(step).time);
}

TEST(Predict, OneStreamsRateIsOneOverItsTpot) {
  const StepModel model = windowed_moe_twin();
  for (const std::int64_t prompt : {0, 1, 512, 3000}) {
    const Prediction p = predict(model, {.prompt = prompt, .gen = 100});
    EXPECT_NEAR(p.decode_tok_per_s * p.tpot.value(), 1.0, 1e-9);
    EXPECT_NEAR(p.stream_tok_per_s * p.tpot.value(), 1.0, 1e-9);
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
  twin.weights = weight_format("mxfp4", twin.stack.file);
  twin.kv = kv_format(twin.stack.kv_default);
  twin.micro_tokens = 2048;  // as those who published
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

// A whole answer worked out from the kernels' shares: weights over bandwidth in decode, flops over
// the peak in prefill, launches and the host beside them.
TEST(Predict, DenseModelInClosedForm) {
  const StepModel model = dense_twin();
  const Prediction p = predict(model, {.prompt = 512, .gen = 2}, true);
  const Bytes embedding(2.0 * 128256 * 4096);
  const Bytes weights = model.footprint().weights - embedding;
  const double kv = 2.0 * 2 * 8 * 128 * 513 * 32;
  const double kernels = static_cast<double>(build_step(dense_model(), all_in(DType::F16), DType::F16,
                                                        {{.n_past = 512, .n_new = 1}})
                                                 .ops.size());
  const double decode = (weights.value() + kv) / 100e9 + 23e-6;
  EXPECT_GT(p.tpot.value(), decode);
  EXPECT_LT(p.tpot.value(), decode + kernels * 1e-6 * 1.05);  // launches, and what is not hidden
  const double flops = 2 * (weights.value() / 2 - 128256.0 * 4096) * 512;  // the head reads one row
  EXPECT_GT(p.prompts_read.value(), flops / 0.5e12);
  EXPECT_LT(p.prompts_read.value(), flops / 0.5e12 * 1.02);
}

// Half of any share or twice any time makes a run no shorter.
TEST(Predict, SlowerNumbersMakeSlowerRuns) {
  for (const StepModel& model : {dense_twin(), windowed_moe_twin()}) {
    const Point point{.prompt = 600, .gen = 40, .depth = 3000};
    const Prediction base = predict(model, point);
    Stack stack = round_stack();
    for (const StackParameter& p : parameters(stack)) {
      const double before = *p.value;
      const bool speeds_up = p.key.ends_with("_share") ||
                             (p.key.ends_with("_ratio") && p.key != "price.overlap_ratio");
      *p.value = speeds_up ? before / 2 : before * 2 + 1e-6;
      if (p.key != "price.routing_evenness") {
        EXPECT_GE(predict(model.with_stack(stack), point).total, base.total) << p.key;
      }
      *p.value = before;
    }
  }
}

TwinModel with_intervals(bool fitted) {
  TwinModel twin = round_twin();
  for (int i = 0; i < kMetrics; ++i) {
    twin.stack.intervals[static_cast<std::size_t>(i)] = {.low = 0.9 - 0.1 * i, .high = 1.1 + 0.1 * i};
  }
  twin.stack.kernels[0].fitted = fitted;
  return twin;
}

constexpr Point kSeen{.prompt = 1000, .gen = 100, .concurrency = 4};

TEST(Interval, IsTheStacksWhereTheFitHasSeen) {
  const TwinModel twin = with_intervals(true);
  for (int i = 0; i < kMetrics; ++i) {
    const Interval interval = interval_of(twin, static_cast<Metric>(i), kSeen);
    EXPECT_DOUBLE_EQ(interval.low, 0.9 - 0.1 * i);
    EXPECT_DOUBLE_EQ(interval.high, 1.1 + 0.1 * i);
  }
}

// Wider on both sides for kernels that no measurement moved, longer contexts, more streams; widest
// for several of these.
TEST(Interval, IsWiderBeyondWhatTheFitHasSeen) {
  const Metric metric = Metric::Decode;
  const Interval seen = interval_of(with_intervals(true), metric, kSeen);
  const auto wider = [](const Interval& a, const Interval& b) {
    EXPECT_LT(a.low, b.low);
    EXPECT_GT(a.high, b.high);
    EXPECT_GT(a.low, 0);
  };
  const Interval unfitted = interval_of(with_intervals(false), metric, kSeen);
  wider(unfitted, seen);
  Point longer = kSeen;
  longer.depth = 200'000;
  Point crowded = kSeen;
  crowded.concurrency = 500;
  for (const Point& point : {longer, crowded}) {
    wider(interval_of(with_intervals(true), metric, point), seen);
    wider(interval_of(with_intervals(false), metric, point), unfitted);
  }
}

// What matters is the kernel that reads most of the weights: the experts' in a mixture.
TEST(Interval, LooksAtTheKernelsOfMostWeights) {
  TwinModel twin = with_intervals(true);
  twin.stack.kernels.push_back({.name = "new", .math = MathType::F16});
  twin.stack.format_kernels[static_cast<std::size_t>(DType::FP8)] = 1;
  const auto low = [&] { return interval_of(twin, Metric::Decode, kSeen).low; };
  const double narrow = low();
  twin.weights.expert = DType::FP8;
  EXPECT_EQ(low(), narrow);  // a dense model has none
  twin.weights.dense_mlp = DType::FP8;
  EXPECT_LT(low(), narrow);
  twin.model.n_experts = 8;
  twin.model.n_experts_used = 2;
  twin.weights.expert = DType::F16;
  EXPECT_EQ(low(), narrow);
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

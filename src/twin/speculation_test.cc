#include "twin/speculation.h"

#include <array>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "twin/predict.h"

namespace tinderbox {
namespace {

const std::filesystem::path kData = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data";

std::string text_of(const std::string& id) { return read_file(kData / "speculation" / (id + ".toml")); }
Speculation load(const std::string& id) { return parse_speculation(text_of(id), id + ".toml"); }

StepModel twin_of(const std::string& model, const std::string& weights, std::optional<Speculation> speculation) {
  TwinModel twin;
  twin.machine = parse_machine(read_file(kData / "machines/dgx-spark.toml"), "dgx-spark.toml");
  twin.stack = parse_stack(read_file(kData / "stacks/vllm.toml"), "vllm.toml");
  twin.model = load_config(kData / "models" / (model + ".json"));
  twin.weights = weight_format(weights, WeightFile::Checkpoint, kind_of(twin.model));
  twin.kv = kv_format("bf16");
  twin.speculation = std::move(speculation);
  return StepModel(std::move(twin));
}

StepModel dense(std::optional<Speculation> s) { return twin_of("qwen3-8b", "bf16", std::move(s)); }
StepModel experts(std::optional<Speculation> s) { return twin_of("qwen3-30b-a3b", "fp8", std::move(s)); }

std::string refusal(const auto& asked) {
  try {
    asked();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Invalid);
    return error.what();
  }
  return "";
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "no '" << word << "' in: " << message;
  }
}

// The vocabulary of data/measurements/README.md, and a plain draft model.
TEST(Speculation, EveryMethodLoadsUnderItsName) {
  for (const char* id : {"mtp", "eagle3", "dflash", "dspark", "ngram", "unknown-draft", "draft-model"}) {
    const Speculation method = load(id);
    EXPECT_EQ(method.id, id);
    EXPECT_GT(method.accepted, 0) << id;
    EXPECT_LE(method.accepted, static_cast<double>(method.n_draft)) << id;
    EXPECT_LT(method.interval.low, 0.9) << id << ": acceptance differs widely between texts";
    EXPECT_GT(method.interval.high, 1.1) << id;
  }
}

// A drafter that costs nothing and guesses nothing is none.
TEST(Speculation, WithoutDraftsIsThePlainTwin) {
  Speculation none = load("ngram");
  none.n_draft = 0;
  none.accepted = 0;
  for (const Point& point : std::vector<Point>{{.prompt = 700, .gen = 100},
                                               {.prompt = 0, .gen = 64, .depth = 3000},
                                               {.prompt = 2000, .gen = 64, .concurrency = 9, .step_tokens = 512}}) {
    const Prediction with = predict(experts(none), point), without = predict(experts({}), point);
    EXPECT_NEAR(with.total / without.total, 1, 1e-9);
    EXPECT_NEAR((with.ttft - without.ttft).value(), 0, 1e-9 * with.total.value());
    EXPECT_NEAR(with.decode_tok_per_s / without.decode_tok_per_s, 1, 1e-9);
  }
}

TEST(Speculation, AcceptingMoreIsNeverSlower) {
  for (const char* id : {"mtp", "dspark", "ngram"}) {
    for (const std::int64_t streams : {1, 8}) {
      const Point point{.prompt = 1000, .gen = 200, .concurrency = streams, .step_tokens = 2048};
      double before = 0;
      for (const double accepted : {0.0, 0.5, 1.0, 1.5, 2.0}) {
        const Prediction p = predict(experts(with_choice(load(id), {}, accepted)), point);
        EXPECT_GE(p.decode_tok_per_s, before) << id << " " << accepted;
        before = p.decode_tok_per_s;
      }
    }
  }
}

// One stream, one method: the rate is tokens a step over the step's time.
TEST(Speculation, RateIsTokensOverTheStep) {
  const Speculation method = with_choice(load("mtp"), 3, 2.0);
  const StepModel model = dense(method);
  const Prediction p = predict(model, {.prompt = 0, .gen = 2, .depth = 2000});
  const std::array at{Segment{.n_past = 2000, .n_new = 1, .samples = true}};
  EXPECT_NEAR(p.decode_tok_per_s, 3.0 / speculative_step(model, {}, at).time.value(), 0.001 * p.decode_tok_per_s);
  // A loop that takes one token a step gets the same rate.
  EXPECT_NEAR(p.decode_tok_per_s, 1.0 / time_of_step(model, at).value(), 0.001 * p.decode_tok_per_s);
}

TEST(Speculation, DraftingMoreCostsMoreOfExpertsThanOfDense) {
  const std::array at{Segment{.n_past = 1000, .n_new = 1, .samples = true}};
  double cost[2] = {0, 0};
  for (const std::int64_t n : {1, 2, 4, 8, 16}) {
    int i = 0;
    for (const auto& twin : {dense, experts}) {
      const double plain = twin({}).price(at).time.value();
      const double step =
          speculative_step(twin(with_choice(load("ngram"), n, 0.0)), {}, at).time.value() / plain;
      EXPECT_GT(step, cost[i]);
      cost[i++] = step;
    }
  }
  EXPECT_LT(cost[0], 1.25);         // dense weights are read once for all
  EXPECT_GT(cost[1], 2 * cost[0]);  // 16 tokens touch many more experts
}

// What drafters of the model's own kind add: a layer and an LM head each pass.
TEST(Speculation, DraftersCostTheirPasses) {
  const std::array at{Segment{.n_past = 1000, .n_new = 1, .samples = true}};
  const auto step = [&](const char* id, std::int64_t n) {
    return speculative_step(dense(with_choice(load(id), n, 0.0)), {}, at).time;
  };
  const Seconds one = step("mtp", 4) - step("ngram", 4), more = step("mtp", 8) - step("ngram", 8);
  EXPECT_NEAR(more / one, 2, 0.02);  // sequential
  EXPECT_LT((step("dflash", 8) - step("ngram", 8)) / more, 0.9);  // five layers, but one pass
}

TEST(Speculation, LeavesThePromptAlone) {
  for (const Point& point : std::vector<Point>{
           {.prompt = 1, .gen = 32}, {.prompt = 513, .gen = 32, .step_tokens = 512}, {.prompt = 5000, .gen = 32}}) {
    const Prediction with = predict(dense(load("dflash")), point), without = predict(dense({}), point);
    EXPECT_DOUBLE_EQ(with.ttft.value(), without.ttft.value());
    EXPECT_DOUBLE_EQ(with.prefill_tok_per_s, without.prefill_tok_per_s);
  }
  // With others that decode already, a prompt waits for what they speculate, at most.
  const Point many{.prompt = 3000, .gen = 64, .concurrency = 6, .step_tokens = 2048};
  const Prediction with = predict(dense(load("mtp")), many), without = predict(dense({}), many);
  EXPECT_LT(with.ttft / without.ttft, 1.1);
  EXPECT_GT(with.decode_tok_per_s, 1.2 * without.decode_tok_per_s);
}

TEST(Speculation, ExplanationSumsToTheStep) {
  const Prediction p = predict(experts(load("mtp")), {.prompt = 3000, .gen = 64, .concurrency = 3}, true);
  for (const StepCost* step : {&p.prefill_step, &p.decode_step}) {
    Seconds sum = step->overhead;
    for (const ClassCost& c : step->classes) sum += c.time;
    EXPECT_NEAR(sum / step->time, 1, 1e-9);
  }
}

TEST(Speculation, AcceptanceFollowsTheDraftsAndNarrowsTheInterval) {
  const Speculation method = load("dspark");
  double before = 0;
  for (const std::int64_t n : {1, 2, 5, 9}) {
    const Speculation s = with_choice(method, n, {});
    EXPECT_GT(s.accepted, before);
    EXPECT_LT(s.accepted, static_cast<double>(n));
    before = s.accepted;
  }
  EXPECT_NEAR(with_choice(method, method.n_draft, {}).accepted, method.accepted, 1e-9);
  const Point point{};
  const Interval guessed = interval_of(dense(method).twin(), Metric::Decode, point);
  const Interval told = interval_of(dense(with_choice(method, {}, 2.0)).twin(), Metric::Decode, point);
  const Interval plain = interval_of(dense({}).twin(), Metric::Decode, point);
  EXPECT_LT(guessed.low, told.low);
  EXPECT_DOUBLE_EQ(told.low, plain.low);
  EXPECT_DOUBLE_EQ(told.high, plain.high);
  EXPECT_DOUBLE_EQ(interval_of(dense(method).twin(), Metric::Ttft, point).low,
                   interval_of(dense({}).twin(), Metric::Ttft, point).low);
}

TEST(Speculation, SaysWhatIsWrongAndWhere) {
  expect_words(refusal([] { with_choice(load("mtp"), {}, 2.5); }), {"mtp", "2.5", "from 0 to the 2 drafted"});
  expect_words(refusal([] { with_choice(load("mtp"), {}, -0.5); }), {"mtp", "-0.5"});
  expect_words(refusal([] { with_choice(load("mtp"), 0, {}); }), {"from 1 to 64"});
  expect_words(refusal([] { with_choice(load("mtp"), 65, {}); }), {"65", "from 1 to 64"});
  EXPECT_EQ(refusal([] { with_choice(load("mtp"), 4, 4.0); }), "");
  const auto bad = [](std::string_view from, std::string_view to) {
    std::string text = text_of("mtp");
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return refusal([&] { parse_speculation(text, "m.toml"); });
  };
  expect_words(bad("sequential = true", "sequential = 1"), {"m.toml:", "draft.sequential"});
  expect_words(bad("n_draft_tokens = { value = 2", "n_draft_tokens = { value = 0"), {"draft.n_draft_tokens", "from 1"});
  expect_words(bad("head_share", "heat_share"), {"draft.head_share"});
  expect_words(bad("[interval]", "extra_share = { value = 1, kind = \"assumed\", source = \"HERE\" }\n[interval]"),
               {"draft.extra_share"});
}

}  // namespace
}  // namespace tinderbox

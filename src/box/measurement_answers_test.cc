// From a prediction to the figure that a row measures, with its interval.
#include <gtest/gtest.h>

#include "box/measurement.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

Prediction round_prediction() {
  Prediction p;
  p.prompts_read = Seconds(4);
  p.first_decode_step = Seconds(0.5);
  p.ttft = Seconds(3);
  p.tpot = Seconds(0.2);
  p.stream_tok_per_s = 6;
  p.decode_tok_per_s = 30;
  p.total = Seconds(20);
  return p;
}

TEST(ReadOff, EveryReadingByHand) {
  Measured m;
  m.point = {.prompt = 1000, .gen = 50, .concurrency = 8};
  const auto value = [&](Reading reading) {
    m.reading = reading;
    return read_off(round_prediction(), m, round_stack());
  };
  EXPECT_DOUBLE_EQ(value(Reading::PrefillRate), 8 * 1000 / 4.0);
  EXPECT_DOUBLE_EQ(value(Reading::Ttft), 3);
  EXPECT_DOUBLE_EQ(value(Reading::DecodeRate), 30);
  EXPECT_DOUBLE_EQ(value(Reading::DecodeStreamRate), 6);
  EXPECT_DOUBLE_EQ(value(Reading::Tpot), 0.2);
  EXPECT_DOUBLE_EQ(value(Reading::OutputRate), 8 * 50 / 20.0);
  EXPECT_DOUBLE_EQ(value(Reading::OutputStreamRate), 50 / 20.0);
  EXPECT_DOUBLE_EQ(value(Reading::TotalRate), 8 * 1050 / 20.0);
  EXPECT_DOUBLE_EQ(value(Reading::RequestRate), 8 / 20.0);
}

// Streams whose answers end by themselves finish one after another: the tokens of all over the time of
// the longest are fewer than the streams' rates add up to, the more streams the fewer.
TEST(ReadOff, AnswersEndByThemselves) {
  Measured m;
  m.reading = Reading::DecodeRate;
  Stack stack = round_stack();
  const auto share = [&](std::int64_t streams, std::int64_t asked, double mean_answer) {
    m.point = {.prompt = 100, .gen = asked, .concurrency = streams};
    stack.price.answer_tokens = mean_answer;
    return read_off(round_prediction(), m, stack) / 30;
  };
  EXPECT_NEAR(share(8, 1000, 1e9), 1, 1e-4);  // as long as asked for
  EXPECT_NEAR(share(1, 1000, 300), 1, 1e-12);
  // Unlimited, the longest of n exponential answers is 1 + 1/2 + ... + 1/n means long.
  EXPECT_NEAR(share(2, 30'000, 1000), 1 / 1.5, 0.01);
  EXPECT_NEAR(share(4, 30'000, 1000), 12 / 25.0, 0.01);
  for (std::int64_t n = 1; n < 64; n *= 2) {
    EXPECT_LT(share(2 * n, 1000, 500), share(n, 1000, 500) + 1e-12);
    EXPECT_GT(share(2 * n, 500, 500), share(2 * n, 1000, 500));
  }
  m.alone = true;  // a bench that makes them all as long as asked for
  EXPECT_DOUBLE_EQ(read_off(round_prediction(), m, stack), 30);
}

// n tokens over the time of n - 1.
TEST(ReadOff, ServersClockCountsOneTokenMore) {
  Measured m;
  m.reading = Reading::DecodeRate;
  m.server_clock = true;
  m.point = {.prompt = 0, .gen = 51};
  EXPECT_DOUBLE_EQ(read_off(round_prediction(), m, round_stack()), 30 * 51 / 50.0);
  m.point.gen = 1;
  EXPECT_DOUBLE_EQ(read_off(round_prediction(), m, round_stack()), 30);
}

TEST(ReadOff, ClientsTakeOneTokensLatencyOffThePrompt) {
  Measured m;
  m.reading = Reading::PrefillRate;
  m.point = {.prompt = 1000, .gen = 1};
  Stack stack = round_stack();
  stack.latency_subtracted = true;
  Prediction p = round_prediction();
  EXPECT_DOUBLE_EQ(read_off(p, m, stack), 1000 / 3.5);
  p.first_decode_step = Seconds(3.9);  // never more than four fifths
  EXPECT_DOUBLE_EQ(read_off(p, m, stack), 1000 / 0.8);
}

// A time is as uncertain as the rate that it is the inverse of: its interval is turned over.
TEST(Answers, IntervalsOfTimesAndRates) {
  TwinModel twin = round_twin();
  twin.stack.intervals[static_cast<std::size_t>(Metric::Decode)] = {.low = 0.8, .high = 1.6};
  twin.stack.intervals[static_cast<std::size_t>(Metric::Ttft)] = {.low = 0.5, .high = 3};
  const StepModel model(twin);
  Answers answers;
  Measured m;
  m.point = {.prompt = 100, .gen = 20};
  m.reading = Reading::DecodeRate;
  const Answer rate = answers.answer(model, m);
  EXPECT_DOUBLE_EQ(rate.low, 0.8 * rate.value);
  EXPECT_DOUBLE_EQ(rate.high, 1.6 * rate.value);
  m.reading = Reading::Tpot;
  m.scale = 1000;
  const Answer time = answers.answer(model, m);
  EXPECT_NEAR(time.value, 1000 / rate.value, 1e-9 * time.value);
  EXPECT_NEAR(time.low, 1000 / rate.high, 1e-9 * time.low);
  EXPECT_NEAR(time.high, 1000 / rate.low, 1e-9 * time.high);
  m.reading = Reading::Ttft;  // its interval is of the time itself
  const Answer first = answers.answer(model, m);
  EXPECT_DOUBLE_EQ(first.low, 0.5 * first.value);
  EXPECT_DOUBLE_EQ(first.high, 3 * first.value);
}

TEST(Answers, RefuseWhatTheModelCannotHold) {
  const StepModel model(round_twin());
  Answers answers;
  Measured m;
  m.reading = Reading::PrefillRate;
  m.point = {.prompt = 200'000, .gen = 1};
  EXPECT_STREQ(answers.answer(model, m).refused, "context exceeded");
  m.open_loop.emplace();
  m.reading = Reading::Tpot;
  m.open_loop->workload = {.requests = 3, .rate = 1, .prompt = 200'000, .gen = 4};
  EXPECT_STREQ(answers.answer(model, m).refused, "context or memory exceeded");
  m.open_loop->workload.prompt = 100;
  EXPECT_EQ(answers.answer(model, m).refused, nullptr);
  m.reading = Reading::DecodeRate;
  EXPECT_STREQ(answers.answer(model, m).refused, "unsupported test or metric");
}

// Of a run that falls behind its requests everything depends on how many there were.
TEST(Answers, RunsOfAnUnknownLengthMustKeepUp) {
  const StepModel model(round_twin());
  Answers answers;
  Measured m;
  m.presumed = true;
  m.reading = Reading::Tpot;
  m.open_loop.emplace();
  m.open_loop->workload = {.requests = 1000, .rate = 0.01, .prompt = 100, .gen = 10};
  EXPECT_EQ(answers.answer(model, m).refused, nullptr);
  m.open_loop->workload.rate = 1000;
  EXPECT_STREQ(answers.answer(model, m).refused, "missing column");
  m.presumed = false;
  EXPECT_EQ(answers.answer(model, m).refused, nullptr);
}

}  // namespace
}  // namespace tinderbox

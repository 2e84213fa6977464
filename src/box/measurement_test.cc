#include "box/measurement.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "box/test_rows.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

const Catalogues& known() {
  static const Catalogues catalogues;
  return catalogues;
}

Question question(const RowText& row) {
  const Csv csv = csv_of({row});
  const TwinCatalogues resources = known().resources();
  return Questioner(resources).question(Cells(csv, 0));
}
Measured measured(const RowText& row) {
  const Question q = question(row);
  EXPECT_EQ(q.refused, nullptr) << q.refused;
  return q.measured.value_or(Measured{});
}
RowText serve_row(const RowText& changes = {}) {
  return with(prefill_row({{"test", "serve"},
                           {"metric", "ttft_ms"},
                           {"gen_tokens", "128"},
                           {"concurrency", "8"},
                           {"stack_norm", "vllm"},
                           {"weights_norm", "fp8"}}),
              changes);
}

struct Kind {
  const char* test;
  const char* metric;
  Reading reading;
  double scale;
  Metric quality;
};
constexpr Kind kKinds[] = {
    {"prefill", "tok_per_s", Reading::PrefillRate, 1, Metric::Prefill},
    {"prefill", "ttft_ms", Reading::Ttft, 1000, Metric::Ttft},
    {"decode", "tok_per_s", Reading::DecodeRate, 1, Metric::DecodeBatch},
    {"decode", "tok_per_s_per_stream", Reading::DecodeStreamRate, 1, Metric::DecodeBatch},
    {"decode", "tpot_ms", Reading::Tpot, 1000, Metric::DecodeBatch},
    {"serve", "ttft_ms", Reading::Ttft, 1000, Metric::Ttft},
    {"serve", "tpot_ms", Reading::Tpot, 1000, Metric::DecodeBatch},
    {"serve", "tok_per_s", Reading::OutputRate, 1, Metric::Serve},
    {"serve", "tok_per_s_per_gpu", Reading::OutputRate, 1, Metric::Serve},
    {"serve", "tok_per_s_per_stream", Reading::OutputStreamRate, 1, Metric::Serve},
    {"serve", "total_tok_per_s", Reading::TotalRate, 1, Metric::Serve},
    {"serve", "total_tok_per_s_per_gpu", Reading::TotalRate, 1, Metric::Serve},
    {"serve", "req_per_s", Reading::RequestRate, 1, Metric::Serve},
};

TEST(Question, EveryTestAndMetricHasItsReading) {
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(format("{} {}", kind.test, kind.metric));
    const Measured m = measured(serve_row({{"test", kind.test}, {"metric", kind.metric}}));
    EXPECT_EQ(m.reading, kind.reading);
    EXPECT_EQ(m.scale, kind.scale);
    EXPECT_EQ(metric_of(m), kind.quality);
    EXPECT_FALSE(m.alone);
    EXPECT_FALSE(m.server_clock);
    EXPECT_FALSE(m.open_loop);
    EXPECT_EQ(m.point.prompt, 2048);
    EXPECT_EQ(m.point.gen, 128);
    EXPECT_EQ(m.point.concurrency, 8);
  }
  EXPECT_STREQ(question(serve_row({{"metric", "power_w"}})).refused, "unsupported test or metric");
  EXPECT_STREQ(question(serve_row({{"test", "prefill"}, {"metric", "tpot_ms"}})).refused,
               "unsupported test or metric");
  EXPECT_EQ(metric_of(measured(decode_row())), Metric::Decode);  // of one stream alone
}

TEST(Question, TakesTheTwinFromItsColumns) {
  const Measured m = measured(serve_row({{"kv_norm", "fp8"},
                                         {"weights_note", "lm_head bf16"},
                                         {"kernel_path", "marlin"},
                                         {"stack_version", "0.11"}}));
  EXPECT_EQ(m.machine, "dgx-spark");
  EXPECT_EQ(m.stack, "vllm");
  EXPECT_EQ(m.model, "llama-3.1-8b");
  EXPECT_EQ(m.weights, "fp8");
  EXPECT_EQ(m.weights_note, "lm_head bf16");
  EXPECT_EQ(m.kv, "fp8");
  EXPECT_EQ(m.kernel_path, "marlin");
  EXPECT_EQ(m.version, "0.11");
  const TwinCatalogues resources = known().resources();
  Questioner questioner(resources);
  const BuiltTwin built = questioner.build(m);
  ASSERT_TRUE(built.model.has_value()) << built.refused;
  const TwinModel& twin = built.model->twin();
  EXPECT_EQ(twin.kv, DType::FP8);
  EXPECT_EQ(twin.weights.lm_head, DType::BF16);
  EXPECT_EQ(twin.weights.dense_mlp, DType::FP8);
  EXPECT_EQ(twin.stack.kernels_of(DType::FP8)->name, "marlin8");
}

TEST(Question, OneStreamDecodesAfterItsCache) {
  const Measured m = measured(decode_row({{"ctx_start", "4096"}, {"depth", "7"}}));
  EXPECT_TRUE(m.alone);
  EXPECT_EQ(m.point.prompt, 0);
  EXPECT_EQ(m.point.depth, 4096);
  EXPECT_EQ(m.point.gen, 32);
  EXPECT_FALSE(m.server_clock);  // a bench tool that reads no prompt counts as it should
  // Without ctx_start the cache holds depth and prompt.
  const Measured prompted =
      measured(decode_row({{"ctx_start", ""}, {"depth", "100"}, {"prompt_tokens", "400"}}));
  EXPECT_EQ(prompted.point.depth, 500);
  EXPECT_EQ(prompted.point.prompt, 0);
  EXPECT_TRUE(prompted.server_clock);
  EXPECT_EQ(measured(decode_row({{"gen_tokens", ""}})).point.gen, 128);  // not stated
  EXPECT_STREQ(question(decode_row({{"gen_tokens", "0"}})).refused, "missing column");
}

TEST(Question, ServersClockIsOfGgufServersWithOneStream) {
  const auto clock = [](const RowText& changes) {
    return measured(decode_row(with({{"prompt_tokens", "500"}}, changes))).server_clock;
  };
  EXPECT_TRUE(clock({}));
  EXPECT_FALSE(clock({{"concurrency", "2"}}));
  EXPECT_FALSE(clock({{"prompt_tokens", ""}}));
  EXPECT_FALSE(clock({{"stack_norm", "vllm"}, {"weights_norm", "fp8"}}));
}

TEST(Question, StreamsOfOtherServersReadTheirPrompts) {
  const RowText vllm = serve_row({{"test", "decode"}, {"metric", "tok_per_s"}});
  const Measured together = measured(vllm);
  EXPECT_FALSE(together.alone);
  EXPECT_EQ(together.point.prompt, 2048);
  EXPECT_TRUE(measured(with(vllm, {{"stack_norm", "llama.cpp"}, {"weights_norm", "q8_0"}})).alone);
  EXPECT_TRUE(measured(with(vllm, {{"concurrency", "1"}})).alone);
  EXPECT_TRUE(measured(with(vllm, {{"prompt_tokens", ""}})).alone);
  EXPECT_STREQ(question(with(vllm, {{"gen_tokens", "1"}})).refused, "missing column");
}

TEST(Question, PrefillAsksForAPromptAlone) {
  EXPECT_STREQ(question(prefill_row({{"prompt_tokens", ""}})).refused, "missing column");
  // How many streams start at once must be stated, but by tools that decode.
  EXPECT_STREQ(question(prefill_row({{"concurrency", ""}})).refused, "missing column");
  EXPECT_STREQ(question(serve_row({{"concurrency", ""}})).refused, "missing column");
  EXPECT_EQ(measured(decode_row({{"concurrency", ""}})).point.concurrency, 1);
  EXPECT_EQ(measured(prefill_row({{"ubatch", "2048"}})).point.step_tokens, 2048);
  EXPECT_EQ(measured(prefill_row({{"max_batched_tokens", "4096"}})).point.step_tokens, 4096);
  EXPECT_EQ(measured(prefill_row({{"max_num_seqs", "9"}})).point.sequences, 9);
  // Whoever measures n streams gives the server room for n.
  EXPECT_EQ(measured(serve_row({{"max_num_seqs", "4"}})).point.sequences, 8);
  EXPECT_EQ(measured(prefill_row({{"prompt_tokens", ""}, {"prompt_mean", "300.4"}})).point.prompt, 300);
  EXPECT_EQ(measured(serve_row({{"gen_tokens", ""}, {"gen_mean", "99.6"}})).point.gen, 100);
}

TEST(Question, OpenLoopRowsAskForARun) {
  const RowText row = serve_row({{"concurrency", "16"},
                                 {"prompt_mean", "600"},
                                 {"gen_mean", "200"},
                                 {"arrival_req_per_s", "0.5"},
                                 {"burstiness", "0.7"},
                                 {"range_ratio", "0.9"},
                                 {"num_requests", "50"},
                                 {"max_num_seqs", "25"}});
  const Measured m = measured(row);
  ASSERT_TRUE(m.open_loop.has_value());
  const WorkloadOptions& w = m.open_loop->workload;
  EXPECT_EQ(w.requests, 50);
  EXPECT_EQ(w.rate, 0.5);
  EXPECT_EQ(w.burstiness, 0.7);
  EXPECT_EQ(w.prompt, 600);
  EXPECT_EQ(w.gen, 200);
  EXPECT_EQ(w.range_ratio, 0.9);
  EXPECT_EQ(m.open_loop->sequences_max, 16);  // what the client keeps in flight
  EXPECT_EQ(metric_of(measured(with(row, {{"metric", "tpot_ms"}, {"concurrency", "1"}}))),
            Metric::DecodeBatch);
  for (const char* column : {"num_requests"}) {
    EXPECT_STREQ(question(with(row, {{column, ""}})).refused, "missing column") << column;
  }
  EXPECT_STREQ(question(with(row, {{"gen_mean", ""}, {"gen_tokens", ""}})).refused, "missing column");
}

TEST(Question, KeysTellTwinsAndLoadsApart) {
  const RowText row = serve_row();
  const Measured base = measured(row);
  EXPECT_EQ(measured(with(row, {{"id", "other"}, {"value", "3"}, {"metric", "tpot_ms"}})).load_key(),
            base.load_key());
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"prompt_tokens", "2049"}, {"gen_tokens", "129"}, {"depth", "1"}, {"concurrency", "9"},
           {"ubatch", "512"},         {"max_num_seqs", "16"}, {"test", "decode"}}) {
    RowText changed = with(row, {{column, cell}});
    if (column == "test") changed = with(changed, {{"metric", "tpot_ms"}, {"concurrency", "1"}});
    EXPECT_NE(measured(changed).load_key(), base.load_key()) << column;
    EXPECT_EQ(measured(changed).twin_key(), base.twin_key()) << column;
  }
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"base", "llama-3.1-70b"}, {"weights_norm", "bf16"}, {"kv_norm", "fp8"},
           {"weights_note", "x"},     {"kernel_path", "marlin"}, {"stack_version", "1"},
           {"stack_norm", "sglang"}}) {
    EXPECT_NE(measured(with(row, {{column, cell}})).twin_key(), base.twin_key()) << column;
  }
}

TEST(Cells, NumbersWithinTheirLimitsOrAProblem) {
  const auto cells_of = [](const std::string& column, const std::string& cell) {
    return csv_of({decode_row({{column, cell}})});
  };
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"depth", "0"}, {"depth", "16777216"}, {"depth", "12.5"}, {"depth", "1e-3"}, {"range_ratio", "1"},
           {"value", "1e-9"}, {"gen_mean", ""}, {"burstiness", "0.01"}}) {
    const Csv csv = cells_of(column, cell);
    EXPECT_EQ(Cells(csv, 0).problem(), std::nullopt) << column << " " << cell;
    EXPECT_EQ(Cells(csv, 0).number(column), parse_double(cell)) << column;
  }
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"depth", "few"}, {"depth", "-1"}, {"depth", "16777217"}, {"depth", "1 "}, {"depth", "inf"},
           {"range_ratio", "1.1"}, {"value", "0"}, {"value", ""}, {"num_requests", "0"},
           {"concurrency", "1e6"}, {"nodes", "?"}}) {
    const Csv csv = cells_of(column, cell);
    const Cells cells(csv, 0);
    ASSERT_TRUE(cells.problem().has_value()) << column << " " << cell;
    EXPECT_NE(cells.problem()->find("test.csv:2: row 'r': column " + column + " has '" + cell + "'"),
              std::string::npos)
        << *cells.problem();
    try {
      cells.number(column);
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Error::Code::Invalid);
      EXPECT_EQ(error.what(), *cells.problem());
    }
  }
  // A range is its middle.
  for (const auto& [range, middle] : std::vector<std::pair<std::string, double>>{
           {"50-1000", 525}, {"0-1", 0.5}, {"7-7", 7}, {"1e1-2e1", 15}}) {
    const Csv csv = cells_of("prompt_tokens", range);
    EXPECT_EQ(Cells(csv, 0).number("prompt_tokens"), middle) << range;
  }
  for (const char* range : {"100-50", "1-", "-", "1-2-3", "0-99999999"}) {
    const Csv csv = cells_of("prompt_tokens", range);
    EXPECT_TRUE(Cells(csv, 0).problem().has_value()) << range;
  }
  const Csv csv = cells_of("depth", "12.5");
  EXPECT_EQ(Cells(csv, 0).count("depth"), 13);
  EXPECT_EQ(Cells(csv, 0).count("gen_mean"), std::nullopt);  // no such column: not stated
}

// A row without a problem has an answer or a refusal, whatever its cells say.
TEST(Cells, NoProblemNoError) {
  const std::vector<std::string> numbers{"nodes",      "prompt_tokens",     "gen_tokens",  "depth",
                                         "ctx_start",  "concurrency",       "prompt_mean", "gen_mean",
                                         "ubatch",     "max_batched_tokens", "max_num_seqs", "num_requests",
                                         "range_ratio", "burstiness",       "value"};
  const std::vector<std::string> cells{"", "0", "1", "2", "0.5", "300", "-1", "1e99", "x", "2.5"};
  const TwinCatalogues resources = known().resources();
  Questioner questioner(resources);
  Answers answers;
  int n_answers = 0, n_problems = 0;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    Random random(31, Stream::Test, seed);
    const Kind& kind = pick(random, std::vector<Kind>(std::begin(kKinds), std::end(kKinds)));
    RowText row = serve_row({{"test", kind.test}, {"metric", kind.metric}});
    for (int i = 0; i < 3; ++i) row[pick(random, numbers)] = pick(random, cells);
    if (coin(random)) row = with(row, {{"stack_norm", "llama.cpp"}, {"weights_norm", "q8_0"}});
    if (seed % 4 == 0) row = with(row, {{"arrival_req_per_s", "3"}, {"num_requests", "5"}});
    const Csv csv = csv_of({row});
    if (Cells(csv, 0).problem()) {
      ++n_problems;
      continue;
    }
    const Question q = questioner.question(Cells(csv, 0));
    if (!q.measured) continue;
    const BuiltTwin built = questioner.build(*q.measured);
    if (!built.model) {  // more boxes than the model splits over
      EXPECT_NE(built.refused, nullptr);
      continue;
    }
    const Answer answer = answers.answer(*built.model, *q.measured);
    if (answer.refused != nullptr) continue;
    ++n_answers;
    EXPECT_GT(answer.value, 0);
    EXPECT_LT(answer.low, answer.value);
    EXPECT_GT(answer.high, answer.value);
  }
  EXPECT_GT(n_answers, 50);
  EXPECT_GT(n_problems, 50);
}

// The published rows are clean.
TEST(Cells, PublishedRowsParse) {
  for (const auto& entry : std::filesystem::directory_iterator(kData + "measurements")) {
    if (entry.path().extension() != ".csv") continue;
    const Csv csv = Csv::load(entry.path());
    for (std::size_t i = 0; i < csv.size(); ++i) {
      EXPECT_EQ(Cells(csv, i).problem(), std::nullopt);
    }
  }
}

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
  TwinModel twin{round_machine(), round_stack(), dense_model(), all_in(DType::F16), DType::F16};
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
  const StepModel model(
      {round_machine(), round_stack(), dense_model(), all_in(DType::F16), DType::F16});
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

}  // namespace
}  // namespace tinderbox

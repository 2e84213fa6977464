// From a row to its question: which twin, under which load, and what of its answer.
#include "box/measurement.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "box/test_rows.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

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
  EXPECT_EQ(m.open_loop->sequences_max, 25);
  EXPECT_EQ(m.open_loop->in_flight_max, 16);  // the client keeps the others back
  EXPECT_EQ(metric_of(measured(with(row, {{"metric", "tpot_ms"}, {"concurrency", "1"}}))),
            Metric::DecodeBatch);
  EXPECT_FALSE(m.presumed);
  const Measured unstated = measured(with(row, {{"num_requests", ""}}));
  EXPECT_EQ(unstated.open_loop->workload.requests, 1000);
  EXPECT_TRUE(unstated.presumed);
  EXPECT_STREQ(question(with(row, {{"gen_mean", ""}, {"gen_tokens", ""}})).refused, "missing column");
}

TEST(Question, RatesOfAnswersDoNotNeedThePrompt) {
  const RowText row = serve_row({{"prompt_tokens", ""}, {"metric", "tok_per_s"}, {"concurrency", "4"}});
  for (const char* metric : {"tok_per_s", "tok_per_s_per_stream"}) {
    const Measured m = measured(with(row, {{"metric", metric}}));
    EXPECT_TRUE(m.presumed);
    EXPECT_EQ(m.point.prompt, 128);
  }
  for (const char* metric : {"ttft_ms", "tpot_ms", "total_tok_per_s", "req_per_s"}) {
    EXPECT_STREQ(question(with(row, {{"metric", metric}})).refused, "missing column") << metric;
  }
  EXPECT_STREQ(question(with(row, {{"concurrency", ""}})).refused, "missing column");
  EXPECT_STREQ(question(with(row, {{"gen_tokens", "50"}})).refused, "missing column");  // then it matters
  EXPECT_EQ(measured(with(row, {{"gen_tokens", ""}})).point.gen, 128);
  EXPECT_FALSE(measured(with(row, {{"prompt_tokens", "128"}})).presumed);
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
    // Tokens computed at a time are of the program too.
    EXPECT_EQ(measured(changed).twin_key() == base.twin_key(), column != "ubatch") << column;
  }
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"base", "llama-3.1-70b"}, {"weights_norm", "bf16"}, {"kv_norm", "fp8"},
           {"weights_note", "x"},     {"kernel_path", "marlin"}, {"stack_version", "1"},
           {"stack_norm", "sglang"}}) {
    EXPECT_NE(measured(with(row, {{column, cell}})).twin_key(), base.twin_key()) << column;
  }
}

// A row without a problem has an answer or a refusal, whatever its cells say.
TEST(Question, NoProblemNoError) {
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

}  // namespace
}  // namespace tinderbox

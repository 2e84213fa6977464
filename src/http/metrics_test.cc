#include "http/metrics.h"

#include <gtest/gtest.h>

#include "http/echo_box_test.h"

namespace tinderbox {
namespace {

// Two requests through a real box, each step 10 ms: every number follows.
TEST(Metrics, CountWhatTheBoxDid) {
  EchoBox box;
  box.complete(R"("prompt":"abcd","max_tokens":3)");  // 5 prompt tokens, 3 generated, length
  box.complete(R"("prompt":"ab","max_tokens":10)");   // 3 prompt tokens, 2 and the end token, stop
  box.close();
  const std::string text = box.metrics().text();
  const std::string labels = R"({engine="0",model_name="echo"} )";
  const auto has = [&](const std::string& line) {
    EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << line << "\nnot in\n" << text;
  };
  has("vllm:prompt_tokens_total" + labels + "8");
  has("vllm:generation_tokens_total" + labels + "6");
  has("vllm:num_requests_running" + labels + "0");
  has("vllm:num_requests_waiting" + labels + "0");
  has("vllm:kv_cache_usage_perc" + labels + "0");
  has("vllm:num_preemptions_total" + labels + "0");
  has(R"(vllm:request_success_total{engine="0",model_name="echo",finished_reason="length"} 1)");
  has(R"(vllm:request_success_total{engine="0",model_name="echo",finished_reason="stop"} 1)");
  has(R"(vllm:request_success_total{engine="0",model_name="echo",finished_reason="abort"} 0)");
  has("vllm:time_to_first_token_seconds_count" + labels + "2");
  has(R"(vllm:time_to_first_token_seconds_bucket{engine="0",model_name="echo",le="0.005"} 0)");
  has(R"(vllm:time_to_first_token_seconds_bucket{engine="0",model_name="echo",le="0.02"} 2)");
  has("vllm:inter_token_latency_seconds_count" + labels + "4");
  has("vllm:request_time_per_output_token_seconds_count" + labels + "2");
  has("vllm:request_prompt_tokens_sum" + labels + "8");
  has("vllm:request_generation_tokens_sum" + labels + "6");
  has("vllm:iteration_tokens_total_count" + labels + "6");
  has("vllm:iteration_tokens_total_sum" + labels + "12");  // 5 + 3 prompt tokens, 4 decoding steps
  has("tinderbox_steps_total" + labels + "6");
  has("tinderbox_lateness_seconds_total" + labels + "0");
  has(R"(tinderbox_paced{engine="0",model_name="echo",as="dgx-spark"} 1)");
  EXPECT_NEAR(metric(text, "tinderbox_busy_seconds_total{"), 0.06, 1e-12);
  EXPECT_NEAR(metric(text, "vllm:e2e_request_latency_seconds_sum{"), 0.06, 1e-12);
  EXPECT_NEAR(metric(text, "vllm:inter_token_latency_seconds_sum{"), 0.04, 1e-12);
}

TEST(Metrics, LatenessIsShown) {
  const Scheduler scheduler({}, KvPool(4, 16));
  Metrics metrics({.model = "m", .version = "1", .as = "dgx-spark", .weightless = true}, scheduler);
  const Step step{.items = {}, .n_tokens = 1};
  StepResult result;
  result.end = TimePoint(std::chrono::milliseconds(30));
  metrics.on_step(step, {}, result, scheduler);
  result.lateness = std::chrono::milliseconds(20);
  metrics.on_step(step, {}, result, scheduler);
  EXPECT_EQ(metric(metrics.text(), "tinderbox_late_steps_total{"), 1);
  EXPECT_NEAR(metric(metrics.text(), "tinderbox_lateness_seconds_total{"), 0.02, 1e-12);
  EXPECT_EQ(metric(metrics.text(), "tinderbox_weightless{"), 1);
}

TEST(Metrics, PrefixHitsAreCountedInTokens) {
  Scheduler scheduler({}, KvPool(8, 16), policy_named("vllm", "test"));
  Metrics metrics({}, scheduler);
  for (SeqId id = 1; id <= 2; ++id) {
    Request request;
    request.id = id;
    request.prompt.assign(40, 7);
    request.n_prompt = 40;
    request.n_gen_max = 1;
    scheduler.submit(request);
    const std::vector<TokenId> sampled = {0};
    scheduler.complete(scheduler.schedule(), sampled);
  }
  metrics.on_step({}, {}, {}, scheduler);
  EXPECT_EQ(metric(metrics.text(), "vllm:prefix_cache_queries_total{"), 80);
  EXPECT_EQ(metric(metrics.text(), "vllm:prefix_cache_hits_total{"), 32);
}

TEST(Metrics, RefusalsAreCounted) {
  const Scheduler scheduler({}, KvPool(4, 16));
  Metrics metrics({}, scheduler);
  metrics.on_admission({}, Admission::QueueFull, {});
  EXPECT_EQ(metric(metrics.text(), "tinderbox_requests_refused_total{"), 1);
}

}  // namespace
}  // namespace tinderbox

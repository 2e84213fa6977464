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
  has(R"(vllm:request_success_total{engine="0",finished_reason="length",model_name="echo"} 1)");
  has(R"(vllm:request_success_total{engine="0",finished_reason="stop",model_name="echo"} 1)");
  has(R"(vllm:request_success_total{engine="0",finished_reason="abort",model_name="echo"} 0)");
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
  has(R"(tinderbox_paced{as="dgx-spark"} 1)");
  EXPECT_NEAR(metric(text, "tinderbox_busy_seconds_total{"), 0.06, 1e-12);
  EXPECT_NEAR(metric(text, "vllm:e2e_request_latency_seconds_sum{"), 0.06, 1e-12);
  EXPECT_NEAR(metric(text, "vllm:inter_token_latency_seconds_sum{"), 0.04, 1e-12);
}

TEST(Metrics, LatenessIsShown) {
  const Scheduler scheduler({}, KvPool(4, 16));
  Metrics metrics({.version = "1", .as = "dgx-spark"});
  Observer& model = metrics.of_model("m", scheduler, {.weightless = true});
  const Step step{.items = {}, .n_tokens = 1};
  StepResult result;
  result.end = TimePoint(std::chrono::milliseconds(30));
  model.on_step(step, {}, result, scheduler);
  result.lateness = std::chrono::milliseconds(20);
  model.on_step(step, {}, result, scheduler);
  EXPECT_EQ(metric(metrics.text(), "tinderbox_late_steps_total{"), 1);
  EXPECT_NEAR(metric(metrics.text(), "tinderbox_lateness_seconds_total{"), 0.02, 1e-12);
  EXPECT_EQ(metric(metrics.text(), "tinderbox_weightless{"), 1);
}

TEST(Metrics, PrefixHitsAreCountedInTokens) {
  Scheduler scheduler({}, KvPool(8, 16), policy_named("vllm", "test"));
  Metrics metrics({});
  Observer& model = metrics.of_model("m", scheduler);
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
  model.on_step({}, {}, {}, scheduler);
  EXPECT_EQ(metric(metrics.text(), "vllm:prefix_cache_queries_total{"), 80);
  EXPECT_EQ(metric(metrics.text(), "vllm:prefix_cache_hits_total{"), 32);
}

TEST(Metrics, RefusalsAreCounted) {
  const Scheduler scheduler({}, KvPool(4, 16));
  Metrics metrics({});
  Observer& model = metrics.of_model("m", scheduler);
  model.on_admission({}, Admission::QueueFull, {});
  EXPECT_EQ(metric(metrics.text(), "tinderbox_requests_refused_total{"), 1);
}

// One request of three prompt and two generated tokens, in steps of 10 ms.
void serve_one(Scheduler& scheduler, Observer& model, SeqId id, std::int32_t n_answers = 1) {
  Request request;
  request.n_answers = n_answers;
  request.id = id;
  request.n_prompt = 3;
  request.n_gen_max = 2;
  model.on_admission(request, scheduler.submit(request), {});
  TimePoint now;
  const std::vector<TokenId> sampled = {0};
  while (!scheduler.idle()) {
    const Step step = scheduler.schedule();
    StepResult result;
    result.end = now + std::chrono::milliseconds(10);
    model.on_step(step, now, result, scheduler);
    now = result.end;
    for (const TokenEvent& event : scheduler.complete(step, sampled)) model.on_token(event, now);
  }
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Metrics, AnswersToOneQuestionAreOneQuestion) {
  Scheduler scheduler({}, KvPool(8, 16));
  Metrics metrics({});
  Observer& model = metrics.of_model("m", scheduler);
  serve_one(scheduler, model, 1, 3);
  for (const SeqId id : {2, 3}) serve_one(scheduler, model, id, 0);
  EXPECT_EQ(metric(metrics.text(), "vllm:request_params_n_sum{"), 3);
  EXPECT_EQ(metric(metrics.text(), "vllm:request_params_n_count{"), 1);
  EXPECT_EQ(metric(metrics.text(), "vllm:request_success_total{engine=\"0\",finished_reason=\"length\""), 3);
}

TEST(Metrics, ModelsShareFamiliesAndKeepTheirOwnCounts) {
  Metrics metrics({});
  Scheduler a({}, KvPool(8, 16)), b({}, KvPool(16, 16));
  serve_one(a, metrics.of_model("a", a), 1);
  Observer& of_b = metrics.of_model("b", b);
  serve_one(b, of_b, 1);
  serve_one(b, of_b, 2);
  const std::string text = metrics.text();
  EXPECT_EQ(metric(text, R"(vllm:generation_tokens_total{engine="0",model_name="a"})"), 2);
  EXPECT_EQ(metric(text, R"(vllm:generation_tokens_total{engine="0",model_name="b"})"), 4);
  EXPECT_EQ(metric(text, R"(vllm:time_per_output_token_seconds_count{engine="0",model_name="b"})"), 2);
  for (const char* family : {"vllm:generation_tokens_total", "vllm:request_success_total", "vllm:cache_config_info",
                             "vllm:iteration_tokens_total", "tinderbox_build_info"}) {
    EXPECT_EQ(count_of(text, "# TYPE " + std::string(family) + " "), 1U) << family;
    EXPECT_EQ(count_of(text, "# HELP " + std::string(family) + " "), 1U) << family;
  }
}

TEST(Metrics, AModelThatGivesWayIsNotInMemory) {
  Metrics metrics({});
  const std::string label = R"({engine="0",model_name="m"})";
  Scheduler scheduler({}, KvPool(4, 16));
  Observer& observer = metrics.of_model("m", scheduler);
  EXPECT_EQ(metric(metrics.text(), "tinderbox_model_loaded" + label), 1);
  serve_one(scheduler, observer, 1);
  metrics.show_loaded("m", false);
  const std::string text = metrics.text();
  EXPECT_EQ(metric(text, "tinderbox_model_loaded" + label), 0);
  EXPECT_EQ(metric(text, "vllm:generation_tokens_total" + label), 2) << "what was counted stays";
  EXPECT_NE(text.find(R"(num_gpu_blocks="4")"), std::string::npos);
  metrics.show_loaded("m", true);
  EXPECT_EQ(metric(metrics.text(), "tinderbox_model_loaded" + label), 1);
}

// What is read is shown as it is told, label by label in its order, and no longer than it is told.
TEST(Metrics, ReadingsKeepTheirKindAndOrder) {
  Metrics metrics({});
  std::vector<GaugeReading> now = {{"x_total", "help", {{"z", "1"}, {"a", "\"2\""}}, 3, GaugeReading::Kind::Counter},
                                   {"y", "help", {}, 1.5},
                                   {"x_total", "help", {{"z", "2"}}, 4, GaugeReading::Kind::Counter}};
  metrics.read_from([&] { return now; });
  const std::string text = metrics.text();
  EXPECT_NE(text.find("# HELP x_total help\n# TYPE x_total counter\nx_total{z=\"1\",a=\"\\\"2\\\"\"} 3\n"
                      "x_total{z=\"2\"} 4\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# TYPE y gauge\ny 1.5\n"), std::string::npos) << text;
  now[0].value = 2;
  EXPECT_EQ(metric(metrics.text(), "x_total{z=\"1\""), 3) << "a counter never falls";
  now.clear();
  EXPECT_EQ(metrics.text().find("x_total"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox

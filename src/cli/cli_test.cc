#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/context.h"
#include "cli/run_app_test.h"

namespace tinderbox::cli {
namespace {

TEST(Context, EverythingEmbeddedParses) {
  const Context context = load_context();
  ASSERT_FALSE(context.machines.ids().empty());
  ASSERT_FALSE(context.stacks.ids().empty());
  ASSERT_GT(context.models.ids().size(), 100u);
  for (const std::string& id : context.machines.ids()) EXPECT_EQ(find_machine(context, id).id, id);
  for (const std::string& id : context.stacks.ids()) EXPECT_EQ(find_stack(context, id).id, id);
  EXPECT_EQ(find_model(context, "llama-3.1-8b").n_layers, 32);
  EXPECT_TRUE(unpacked(context.measurements).starts_with("id,"));
}

TwinOptions of(const std::string& model, const std::string& weights, const std::string& kv = "") {
  TwinOptions options;
  options.model = model;
  options.weights = weights;
  options.kv = kv;
  return options;
}

TEST(Context, TwinTakesTheStacksDefaults) {
  const Context context = load_context();
  const TwinModel twin = make_twin(context, of("llama-3.1-8b", "fp8"));
  EXPECT_EQ(twin.stack.id, "vllm");
  EXPECT_EQ(twin.weights.name, "fp8");
  EXPECT_EQ(make_twin(context, of("llama-3.1-8b", "q4_k_m")).stack.id, "llama.cpp");
  EXPECT_THROW(make_twin(context, of("llama-3.1-8b", "", "q99")), Error);
  EXPECT_THROW(make_twin(context, {}), Error);
}

TEST(Context, TheStackRunsAsItsVersionDoes) {
  const Context context = load_context();
  TwinOptions options = of("gpt-oss-20b", "mxfp4");
  EXPECT_EQ(make_twin(context, options).stack.kernels_of(DType::MXFP4)->name, "mxfp4");
  options.stack_version = "b8657";
  options.ubatch = 2048;
  const TwinModel twin = make_twin(context, options);
  EXPECT_EQ(twin.stack.kernels_of(DType::MXFP4)->name, "fp4_native");
  EXPECT_EQ(twin.stack.name, "llama.cpp b8657");
  EXPECT_EQ(twin.micro_tokens_max(), 2048);
  options.kernel_path = "no-native-fp4";
  EXPECT_EQ(make_twin(context, options).stack.kernels_of(DType::MXFP4)->name, "mxfp4");
  options.kernel_path = "marlin";  // another stack's
  EXPECT_THROW(make_twin(context, options), Error);
  options.kernel_path = "";
  options.stack_version = "newest";
  EXPECT_THROW(make_twin(context, options), Error);
  options = of("llama-3.1-8b", "fp8");
  options.ubatch = 512;
  EXPECT_THROW(make_twin(context, options), Error);  // vLLM has no micro-batches
}

TEST(Context, BoxesShareAModelAsAskedOrAsTheStackDoes) {
  const Context context = load_context();
  TwinOptions options = of("llama-3.1-8b", "fp8");
  EXPECT_EQ(make_twin(context, options).parallel, Parallel{});
  options.nodes = 2;
  EXPECT_EQ(make_twin(context, options).parallel, (Parallel{.tp = 2}));
  EXPECT_EQ(boxes_text(make_twin(context, options)), "2 x NVIDIA DGX Spark (tp2)");
  options.parallel = "pp2";
  EXPECT_EQ(make_twin(context, options).parallel, (Parallel{.pp = 2}));
  options.link = "hot-plug-cap";
  EXPECT_EQ(make_twin(context, options).link, "hot-plug-cap");
  options.link = "carrier-pigeon";
  EXPECT_THROW(make_twin(context, options), Error);
  options = of("llama-3.1-8b", "q4_k_m");
  options.nodes = 4;
  EXPECT_EQ(make_twin(context, options).parallel, (Parallel{.pp = 4}));
  options.nodes = 9;
  EXPECT_THROW(make_twin(context, options), Error);
  options.nodes = 2;
  options.parallel = "dp2";
  EXPECT_THROW(require_one_replica(make_twin(context, options)), Error);
}

TEST(App, ExitCodes) {
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_EQ(run({"predict", "--help"}), 0);
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"no-such-verb"}), 2);
  EXPECT_EQ(run({"predict", "--model", "no-such-model"}), 2);
  EXPECT_EQ(run({"run", "/nonexistent.gguf", "hi"}), 2);
}

TEST(App, WhatIsNoNumberIsNoNumber) {
  for (const char* option : {"--minutes", "--load-minutes", "--every", "--watts", "--rate"}) {
    EXPECT_EQ(run({"soak", option, "nan"}), 2) << option;
  }
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests", "2", "--seed", "-1"}), 2);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests", "2", "--seed", "99999999999999999999"}), 2);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests", "2", "--users", "2", "--rate", "3"}), 2);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests", "2", "--trace", "/tmp"}), 2);
}

TEST(App, SpeculationIsAnOptionOfTheTwin) {
  const auto predict = [](std::vector<const char*> more) {
    std::vector<const char*> all{"predict", "--model", "qwen3-8b"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  EXPECT_EQ(predict({"--speculation", "mtp"}), 0);
  EXPECT_EQ(predict({"--speculation", "draft-model", "--draft-tokens", "8", "--accepted", "5.5", "--json"}), 0);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-8b", "--requests", "4", "--speculation", "eagle3"}), 0);
  EXPECT_EQ(predict({"--speculation", "mtpp"}), 2);
  EXPECT_EQ(predict({"--speculation", "mtp", "--accepted", "9"}), 2);
  EXPECT_EQ(predict({"--speculation", "mtp", "--accepted", "-1"}), 2);
  EXPECT_EQ(predict({"--speculation", "mtp", "--draft-tokens", "0"}), 2);
  EXPECT_EQ(predict({"--accepted", "1"}), 2);
}

TEST(Context, DevicesOfOneBoxShareAModelAsAsked) {
  const Context context = load_context();
  TwinOptions options = of("llama-3.1-70b", "fp8");
  options.machine = "h200-sxm-x8";
  EXPECT_EQ(make_twin(context, options).machine.n_devices, 8);  // one after the other
  options.parallel = "tp8";
  const TwinModel twin = make_twin(context, options);
  EXPECT_EQ(twin.machine.id, "h200-sxm");
  EXPECT_EQ(twin.link, "peer");
  EXPECT_EQ(boxes_text(twin).substr(0, 4), "8 x ");
  options.parallel = "tp4";
  EXPECT_THROW(make_twin(context, options), Error);
  options.parallel = "tp8";
  options.nodes = 2;
  EXPECT_THROW(make_twin(context, options), Error);
}

TEST(App, PredictWithAsManyStreamsAsFit) {
  const auto json_of = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"predict", "--json", "--model", "llama-3.1-70b", "--weights", "fp8"});
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(run(more), 0);
    return nlohmann::json::parse(::testing::internal::GetCapturedStdout());
  };
  const auto many = json_of({"--machine", "h200-sxm-x2", "--parallel", "tp2", "--concurrency", "max"});
  EXPECT_EQ(many["machine"], "h200-sxm-x2");
  EXPECT_EQ(many["nodes"], 1);
  EXPECT_EQ(many["devices"], 2);
  EXPECT_GT(many["concurrency"], 16);
  EXPECT_EQ(many["memory"]["verdict"], "fits");
  const auto one = json_of({"--machine", "h200-sxm-x2", "--parallel", "tp2"});
  EXPECT_GT(many["decode_tok_per_s"], 10 * one["decode_tok_per_s"].get<double>());
  // Nothing fits: the answer is no, as for one stream.
  EXPECT_EQ(run({"predict", "--model", "llama-3.1-405b", "--weights", "bf16", "--concurrency", "max"}), 1);
  for (const char* bad : {"0", "-1", "4097", "most", "", "1.5"}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run({"predict", "--model", "llama-3.1-8b", "--concurrency", bad}), 2) << bad;
    const std::string said = ::testing::internal::GetCapturedStderr();
    const std::string reason = std::string("--concurrency: expected 1 to 4096 streams or max; got '") + bad + "'";
    EXPECT_NE(said.find(*bad == 0 ? "--concurrency" : reason), std::string::npos) << said;
  }
}

TEST(App, CompareExitCodes) {
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b"}), 0);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-405b", "--machines", "rtx-3090,dgx-spark"}), 1);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-405b", "--machines", "rtx-3090,mac-m3-ultra-80"}),
            0);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--weights", "fp8", "--machines",
                 "strix-halo-395"}),
            1);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--weights", "fp9", "--machines",
                 "strix-halo-395"}),
            2);
  EXPECT_EQ(run({"compare"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--machines", "rtx-309O"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--machines", "mac-m4-pro-x2"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--weights", "q99", "--stack", "vllm"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--weights", "q99"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--currency", "GBP"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--hours-per-day", "25"}), 2);
  EXPECT_EQ(run({"compare", "--model", "llama-3.1-8b", "--prompt", "200000"}), 2);
}

TEST(App, CompareWritesOneJsonDocument) {
  ::testing::internal::CaptureStdout();
  ASSERT_EQ(run({"compare", "--model", "llama-3.1-70b", "--weights", "q4_k_m", "--machines",
                 "dgx-spark,rtx-4090,rtx-4090-x2,jetson-thor", "--json"}),
            0);
  const auto json = nlohmann::json::parse(::testing::internal::GetCapturedStdout());
  ASSERT_EQ(json["machines"].size(), 4u);
  const auto &spark = json["machines"][0], &one = json["machines"][1], &two = json["machines"][2];
  EXPECT_EQ(spark["machine"], "dgx-spark");
  EXPECT_EQ(spark["verdict"], "fits");
  EXPECT_GT(spark["decode_tok_per_s"], 0);
  EXPECT_GT(spark["total_per_mtok"], spark["electricity_per_mtok"]);
  EXPECT_EQ(one["verdict"], "freezes");
  EXPECT_TRUE(one["decode_tok_per_s"].is_null());
  EXPECT_NE(one["reason"], "");
  EXPECT_EQ(two["n_devices"], 2);
  EXPECT_EQ(two["scope"], "part");
  EXPECT_GT(two["decode_tok_per_s"], spark["decode_tok_per_s"]);
  EXPECT_TRUE(json["machines"][3]["total_per_mtok"].is_null()) << "no price is known";
}

TEST(App, FitAnswersByExitCode) {
  const auto fit = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"fit", "--model", "llama-3.1-70b"});
    return run(more);
  };
  EXPECT_EQ(fit({"--weights", "nvfp4", "--context", "32768", "--concurrency", "4"}), 0);
  EXPECT_EQ(fit({"--weights", "q4_k_m", "--json"}), 0);
  EXPECT_EQ(fit({"--weights", "q4_k_m", "--explain"}), 0);
  EXPECT_EQ(fit({"--weights", "bf16"}), 1);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--memory-fraction", "0.9"}), 1);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--memory-fraction", "0.8"}), 0);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--memory-fraction", "1.1"}), 2);
  EXPECT_EQ(fit({"--weights", "q4_k_m", "--memory-fraction", "0.9"}), 2);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--context", "0"}), 2);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--context", "-5"}), 2);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--context", "99999999999999999999"}), 2);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--context", "1000000"}), 2);
  EXPECT_EQ(fit({"--weights", "nvfp4", "--concurrency", "0"}), 2);
}

}  // namespace
}  // namespace tinderbox::cli

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/app.h"
#include "cli/context.h"

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

int run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tinderbox");
  return run_app(static_cast<int>(arguments.size()), arguments.data());
}

// What it prints, or its exit code if that is not 0.
nlohmann::json document(std::vector<const char*> arguments, const std::vector<const char*>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  ::testing::internal::CaptureStdout();
  const int code = run(arguments);
  const std::string out = ::testing::internal::GetCapturedStdout();
  return code == 0 ? nlohmann::json::parse(out) : nlohmann::json(code);
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

TEST(App, SimulateTakesTrafficOfEveryKind) {
  const auto simulate = [](std::vector<const char*> more) {
    std::vector<const char*> all{"simulate", "--model", "qwen3-0.6b", "--requests", "20"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  EXPECT_EQ(simulate({"--burstiness", "inf", "--prompt", "uniform:10-900", "--gen", "lognormal:50,1"}), 0);
  EXPECT_EQ(simulate({"--diurnal", "0.5", "--day", "100", "--slo-ttft", "0.5", "--slo-tpot", "0.05", "--json"}), 0);
  EXPECT_EQ(simulate({"--users", "4", "--think", "2", "--turns", "3", "--shared-prefix", "100"}), 0);
  EXPECT_EQ(simulate({"--policy", "sglang", "--prefix-cache", "off", "--keys", "3", "--fair"}), 0);
  EXPECT_EQ(simulate({"--priorities", "2", "--timeout", "5", "--prefix-cache", "on"}), 0);
  EXPECT_EQ(simulate({"--mix", "2,1"}), 2);  // of one model?
  EXPECT_EQ(simulate({"--keep-alive", "5"}), 2);
  EXPECT_EQ(simulate({"--policy", "best"}), 2);
  EXPECT_EQ(simulate({"--prefix-cache", "maybe"}), 2);
  EXPECT_EQ(simulate({"--fair"}), 2);  // between whom?
  EXPECT_EQ(simulate({"--keys", "0"}), 2);
  EXPECT_EQ(simulate({"--priorities", "-1"}), 2);
  EXPECT_EQ(simulate({"--timeout", "0"}), 2);
  EXPECT_EQ(simulate({"--prompt", "normal:5,1"}), 2);
  EXPECT_EQ(simulate({"--gen", "0"}), 2);
  EXPECT_EQ(simulate({"--slo-ttft", "0"}), 2);
  EXPECT_EQ(simulate({"--turns", "0"}), 2);
  EXPECT_EQ(simulate({"--strict"}), 2);  // of what?
}

TEST(App, SimulateSharesOneMemoryBetweenModels) {
  const auto simulate = [](std::vector<const char*> more) {
    return document({"simulate", "--model", "qwen3-0.6b,qwen3-8b", "--requests", "40", "--json"}, more);
  };
  const nlohmann::json json = simulate({"--mix", "3,1", "--weights", "bf16,fp8", "--pin", "qwen3-8b"});
  EXPECT_EQ(json["finished"], 40);
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][1]["model"], "qwen3-8b");
  EXPECT_EQ(json["models"][1]["weights"], "fp8");
  EXPECT_EQ(json["models"][1]["pinned"], true);
  EXPECT_GT(json["models"][0]["finished"], json["models"][1]["finished"]);
  EXPECT_LE(json["pool_bytes_peak"], json["pool_bytes"]);
  EXPECT_GT(simulate({"--keep-alive", "0.5", "--rate", "0.1"})["models"][0]["expiries"], 5);
  EXPECT_EQ(simulate({"--mix", "1"}), 2);
  EXPECT_EQ(simulate({"--mix", "1,x"}), 2);
  EXPECT_EQ(simulate({"--weights", "bf16,bf16,bf16"}), 2);
  EXPECT_EQ(simulate({"--pin", "llama-3.1-8b"}), 2);
  EXPECT_EQ(simulate({"--load-rate", "fast"}), 2);
  EXPECT_EQ(simulate({"--disaggregate", "1:1"}), 2);
  EXPECT_EQ(simulate({"--exact", "5"}), 2);
  EXPECT_EQ(simulate({"--router", "power-aware"}), 2);  // without bodies?
  EXPECT_EQ(simulate({"--in-flight", "2", "--turns", "2"}), 2);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b,", "--requests", "4"}), 2);
}

TEST(App, SimulateBoxesThatHoldSeveralModels) {
  const std::string trace = testing::TempDir() + "pool.json", svg = testing::TempDir() + "pool.svg";
  const auto simulate = [](std::vector<const char*> more) {
    return document({"simulate", "--model", "qwen3-0.6b,qwen3-8b", "--requests", "60", "--json"}, more);
  };
  const nlohmann::json json =
      simulate({"--boxes", "2", "--router", "power-aware", "--fault", "stuck-low-power@10s+20s", "--faulty-boxes", "1",
                "--perfetto", trace.c_str(), "--svg", svg.c_str()});
  EXPECT_EQ(json["finished"], 60);
  ASSERT_EQ(json["boxes"].size(), 2u);
  EXPECT_EQ(json["boxes"][0]["finished"].get<int>() + json["boxes"][1]["finished"].get<int>(), 60);
  EXPECT_GT(json["wall_energy_j"], 0);
  const std::string events = read_file(trace);
  for (const char* name : {"box 1: qwen3-0.6b on", "box 1: qwen3-8b on", "box 2: qwen3-8b on"}) {
    EXPECT_NE(events.find(name), std::string::npos) << name;
  }
  EXPECT_NE(read_file(svg).find("GPU clock"), std::string::npos);
  const nlohmann::json talks = simulate({"--turns", "3", "--think", "1", "--mix", "1,2", "--prefix-cache", "on"});
  EXPECT_EQ(talks["finished"], 60);
  EXPECT_GT(talks["models"][1]["prefix_hit_tokens"], 0);
  EXPECT_LE(simulate({"--in-flight", "3", "--rate", "100"})["mean_running"], 3);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b,qwen3-8b", "--boxes", "2", "--body"}), 0);
  const std::string table = ::testing::internal::GetCapturedStdout();
  for (const char* row : {"\nboxes  ", "\nqwen3-8b ", "\npower at the wall"}) {
    EXPECT_NE(table.find(row), std::string::npos) << row;
  }
}

TEST(App, SimulateSendsKvFromBoxesThatReadToBoxesThatGenerate) {
  const auto simulate = [](std::vector<const char*> more) {
    return document({"simulate", "--model", "qwen3-0.6b", "--requests", "20", "--json"}, more);
  };
  const nlohmann::json json = simulate({"--disaggregate", "1:2"});
  EXPECT_EQ(json["finished"], 20);
  EXPECT_EQ(json["transfers"], 20);
  EXPECT_EQ(json["decode_boxes"], 2);
  EXPECT_EQ(json["transfer_bytes"], 20.0 * 512 * 28 * 2 * 8 * 128 * 2);  // layers, K and V, heads, f16
  const nlohmann::json slow = simulate({"--disaggregate", "1:2", "--kv-bandwidth", "1 Gb/s"});
  EXPECT_GT(slow["tpot_s"]["mean"], json["tpot_s"]["mean"]);
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--decode-machine", "mac-m3-ultra-80", "--kv-bandwidth",
                      "10 Gb/s"})["finished"],
            20);
  EXPECT_EQ(json["kv_transfer"], "after");
  EXPECT_EQ(json["transfer_hidden"], 0);
  const nlohmann::json streamed = simulate({"--disaggregate", "1:2", "--kv-bandwidth", "1 Gb/s", "--kv-transfer",
                                            "layerwise"});
  EXPECT_EQ(streamed["kv_transfer"], "layerwise");
  EXPECT_EQ(streamed["transfer_bytes"], json["transfer_bytes"]);
  EXPECT_GT(streamed["transfer_hidden"], 0);
  EXPECT_LT(streamed["transfer_left_mean_s"], slow["transfer_left_mean_s"]);
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--kv-transfer", "before"}), 2);
  EXPECT_EQ(simulate({"--kv-transfer", "layerwise"}), 2);  // of what?
  for (const char* roles : {"1", "0:1", "1:", "one:two", "1:1:1"}) {
    EXPECT_EQ(simulate({"--disaggregate", roles}), 2) << roles;
  }
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--boxes", "2"}), 2);
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--kv-bandwidth", "10"}), 2);
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--kv-bandwidth", "0 Gb/s"}), 2);
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--decode-machine", "mac-m3-ultra-80"}), 2);  // how are they joined?
  EXPECT_EQ(simulate({"--disaggregate", "1:1", "--machine", "strix-halo-395"}), 2);
  EXPECT_EQ(simulate({"--kv-bandwidth", "10 Gb/s"}), 2);  // of what?
}

TEST(App, SimulateRoutesByPowerWhereThereIsABody) {
  const auto simulate = [](std::vector<const char*> more) {
    std::vector<const char*> all{"simulate", "--model", "qwen3-0.6b", "--requests", "20", "--boxes", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  EXPECT_EQ(simulate({"--router", "power-aware"}), 2);
  EXPECT_EQ(simulate({"--router", "power-aware", "--body"}), 0);
  EXPECT_EQ(simulate({"--fault", "stuck-low-power", "--faulty-boxes", "1"}), 0);
  EXPECT_EQ(simulate({"--faulty-boxes", "1"}), 2);  // with which fault?
}

TEST(App, SimulateReplaysWhatItWrote) {
  const std::string out = testing::TempDir() + "requests.csv";
  ASSERT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests", "30", "--prompt", "uniform:1-99", "--requests-out",
                 out.c_str()}),
            0);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--trace", out.c_str(), "--strict", "--json"}), 0);
  const auto json = nlohmann::json::parse(::testing::internal::GetCapturedStdout());
  EXPECT_EQ(json["finished"], 30);
  const std::string azure = TINDERBOX_SOURCE_DIR "/data/traces/azure-llm-2023-conv-200.csv";
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--trace", azure.c_str()}), 0);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--trace", "/nowhere.csv"}), 2);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests-out", "/nowhere/r.csv"}), 2);
  EXPECT_EQ(run({"simulate", "--model", "qwen3-0.6b", "--requests-out", "/dev/full"}), 2);
}

TEST(App, SimulateWritesTracesAndCharts) {
  const std::string json = testing::TempDir() + "trace.json", svg = testing::TempDir() + "lines.svg";
  const auto simulate = [](std::vector<const char*> more) {
    std::vector<const char*> all{"simulate", "--model", "qwen3-0.6b", "--requests", "300"};
    all.insert(all.end(), more.begin(), more.end());
    ::testing::internal::CaptureStdout();
    const int code = run(all);
    return std::pair(code, ::testing::internal::GetCapturedStdout());
  };
  const auto plain = simulate({"--boxes", "2", "--body", "--json"});
  const auto watched =
      simulate({"--boxes", "2", "--body", "--json", "--perfetto", json.c_str(), "--svg", svg.c_str()});
  EXPECT_EQ(watched, plain);
  const auto trace = nlohmann::json::parse(read_file(json));
  EXPECT_GT(trace["traceEvents"].size(), 3000u);
  const std::string chart = read_file(svg);
  EXPECT_TRUE(chart.starts_with("<svg") && chart.ends_with("</svg>\n"));
  for (const char* word : {"KV in use", "waiting", "TTFT", "TPOT", "GPU clock", "°C"}) {
    EXPECT_NE(chart.find(word), std::string::npos) << word;
  }
  const auto margin = nlohmann::json::parse(plain.second)["load_margin"];
  EXPECT_EQ(margin["verdict"], "below");
  EXPECT_LE(margin["share_low"], margin["share_high"]);
  EXPECT_NE(simulate({"--rate", "1000"}).second.find("above saturation the queue grows"), std::string::npos);
  EXPECT_EQ(simulate({"--users", "3"}).second.find("saturation"), std::string::npos);
  EXPECT_NE(simulate({"--keys", "3"}).second.find("\nkey  finished"), std::string::npos);
  for (const char* option : {"--perfetto", "--svg"}) {
    EXPECT_EQ(simulate({option, "/nowhere/file"}).first, 2);
    EXPECT_EQ(simulate({option, "/dev/full"}).first, 2);
  }
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

// The verb `simulate` through the command line.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "cli/run_app_test.h"

namespace tinderbox::cli {
namespace {

TEST(Simulate, TakesTrafficOfEveryKind) {
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

TEST(Simulate, SharesOneMemoryBetweenModels) {
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

TEST(Simulate, BoxesThatHoldSeveralModels) {
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

TEST(Simulate, SendsKvFromBoxesThatReadToBoxesThatGenerate) {
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

TEST(Simulate, RoutesByPowerWhereThereIsABody) {
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

TEST(Simulate, ReplaysWhatItWrote) {
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

TEST(Simulate, WritesTracesAndCharts) {
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

}  // namespace
}  // namespace tinderbox::cli

#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/sweep_columns.h"
#include "cli/app.h"
#include "cli/sweep_points.h"

namespace tinderbox::cli {
namespace {

const Context& context() {
  static const Context kContext = load_context();
  return kContext;
}

const std::string kBase = "[base]\nmodel = \"qwen3-0.6b\"\nrequests = 20\n";

std::string refusal(const std::string& toml) {
  try {
    read_sweep(context(), toml, "s.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

int run(std::vector<std::string> arguments) {
  std::vector<const char*> words = {"tinderbox"};
  for (const std::string& argument : arguments) words.push_back(argument.c_str());
  ::testing::internal::CaptureStdout();
  const int code = run_app(static_cast<int>(words.size()), words.data());
  ::testing::internal::GetCapturedStdout();
  return code;
}

TEST(SweepPoints, EveryOptionOfASimulationMayBeSetAndNoneHasTheNameOfAFigure) {
  const std::vector<std::string> keys = SettingsParser().keys();
  const std::set<std::string> known(keys.begin(), keys.end());
  for (const char* key :
       {"model", "rate", "requests", "prompt", "gen", "policy", "boxes", "router", "slo-ttft",
        "trace", "fault", "body", "fair", "seed", "speculation", "kv-tokens"}) {
    EXPECT_TRUE(known.contains(key)) << key;
  }
  for (const char* key : {"threads", "json", "requests-out", "sweep", "help"})
    EXPECT_FALSE(known.contains(key)) << key;
  std::set<std::string> columns = {"point", "error", "command", "report"};
  for (const SweepFigure& figure : sweep_figures()) columns.emplace(figure.column);
  for (const std::string& key : keys) EXPECT_FALSE(columns.contains(sweep_column(key))) << key;
}

TEST(SweepPoints, FiguresStandInAReport) {
  const Sweep sweep =
      read_sweep(context(), kBase + "body = true\nslo_ttft = 1\n[grid]\nrate = [1]\n", "s.toml");
  const SweepRow row = PointRunner(context(), sweep).run(0);
  ASSERT_EQ(row.error, "");
  const auto report = nlohmann::json::parse(row.report);
  for (const SweepFigure& figure : sweep_figures()) {
    EXPECT_TRUE(report.contains(nlohmann::json::json_pointer(std::string(figure.at)))) << figure.at;
  }
}

TEST(SweepPoints, APointIsWhatTheCommandLineSays) {
  const std::string toml = kBase + R"(
[grid]
rate = [1, 50]
fair = [false, true]
[base.nothing]
)";
  EXPECT_NE(refusal(toml).find("nothing"), std::string::npos);
  const Sweep sweep = read_sweep(context(), kBase + R"(
keys = 3
body = true
fault = ["slow-memory@1s+2s", "slow-memory@5s+1s"]
prompt = "uniform:10-90"
[grid]
rate = [1, 50]
fair = [false, true]
)",
                                 "s.toml");
  ASSERT_EQ(n_points(sweep), 4);
  PointRunner runner(context(), sweep);
  std::set<std::string> reports;
  for (std::int64_t point = 0; point < 4; ++point) {
    const std::string command = command_of(settings_of(sweep, point));
    EXPECT_EQ(command.find(" --fair") != std::string::npos, point % 2 == 1) << command;
    std::vector<std::string> words = split(command, ' ');
    words.emplace_back("--json");
    std::vector<const char*> arguments;
    for (const std::string& word : words) arguments.push_back(word.c_str());
    ::testing::internal::CaptureStdout();
    ASSERT_EQ(run_app(static_cast<int>(arguments.size()), arguments.data()), 0) << command;
    const std::string printed = ::testing::internal::GetCapturedStdout();
    const SweepRow row = runner.run(point);
    EXPECT_EQ(nlohmann::ordered_json::parse(row.report), nlohmann::ordered_json::parse(printed))
        << command;
    EXPECT_EQ(row.report, PointRunner(context(), sweep).run(point).report);  // whatever ran before
    reports.insert(row.report);
  }
  EXPECT_GE(reports.size(), 2u);
}

TEST(SweepPoints, CommandsAreQuotedForTheShell) {
  EXPECT_EQ(command_of({{"model", {"a b"}, 1},
                        {"trace", {"it's.csv"}, 2},
                        {"fair", {"true"}, 3},
                        {"body", {"false"}, 4}}),
            "tinderbox simulate --model 'a b' --trace 'it'\\''s.csv' --fair");
}

TEST(SweepPoints, ValuesAreCheckedAsTheCommandLineDoes) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"[grid]\nrate = [1, 0]", {"s.toml:5: --rate"}},
      {"[grid]\nrate = [0, 1]", {"s.toml:5: --rate"}},
      {"[grid]\nrate = [1, true]", {"s.toml:5: ", "--rate"}},
      {"[grid]\nrate = [[1, 2]]", {"--rate"}},
      {"[grid]\nturns = [1.5]", {"s.toml:", "--turns"}},
      {"[grid]\nprefix_cache = [\"on\", \"maybe\"]", {"s.toml:5", "maybe"}},
      {"fair = true\n[grid]\nrate = [1]", {"--fair requires --keys"}},
      {"[grid]\nmodel = [\"a\"]", {"s.toml:5", "line 2 already"}},
      {"[grid]\nmachine = [\"dgx-spark\", \"dgx-sparc\"]",
       {"s.toml:5", "did you mean 'dgx-spark'"}},
      {"[grid]\nstack = [\"vllm\", \"vlm\"]", {"s.toml:5", "did you mean 'vllm'"}},
      {"[grid]\nrouter = [\"random\", \"least\"]", {"s.toml:5", "least-loaded"}},
      {"[grid]\ngen = [1, 0]", {"s.toml:5", "--gen"}},
      {"[random]\npoints = 3\nboxes = { low = 0, high = 3 }", {"s.toml:6", "--boxes"}},
      {"[random]\npoints = 3\npolicy = [\"vllm\", \"x\"]", {"s.toml:6", "'x'"}},
      {"threads = 2\n[grid]\nrate = [1]", {"s.toml:4", "no option 'threads'"}},
  };
  for (const auto& [toml, words] : cases) {
    const std::string said = refusal(kBase + toml);
    for (const std::string& word : words)
      EXPECT_NE(said.find(word), std::string::npos) << toml << "\nsaid: " << said;
  }
  EXPECT_EQ(refusal(kBase + "[grid]\nmachine = [\"h200-sxm-x8\"]\n"), "no error");
}

TEST(SweepPoints, WhatCannotRunIsARow) {
  const Sweep sweep = read_sweep(
      context(),
      "[grid]\nmodel = [\"llama-3.1-405b\", \"qwen3-0.6b\"]\nparallel = [\"\\u0074p1\", \"dp2\"]\n",
      "s.toml");
  PointRunner runner(context(), sweep);
  EXPECT_NE(runner.run(0).error.find("KV cache holds"), std::string::npos);
  EXPECT_NE(runner.run(1).error.find("dp2"), std::string::npos);
  EXPECT_EQ(runner.run(2).error, "");
}

TEST(SweepPoints, ThreadsShardsAndRestartsGiveTheSameBytes) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "sweep-cli";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const auto file = [&](const std::string& name) { return (folder / name).string(); };
  std::ofstream(file("s.toml"))
      << kBase << "[grid]\nrate = [1, 2, 4]\nboxes = [1, 2]\n[design]\nseeds = 4\n";
  const auto sweep = [&](const std::string& results, std::vector<std::string> more) {
    more.insert(more.begin(), {"simulate", "--sweep", file("s.toml"), "--results", file(results),
                               "--csv", file("csv")});
    EXPECT_EQ(run(more), 0);
    return read_file(file("csv"));
  };
  const std::string expected = sweep("1", {"--threads", "1"});
  EXPECT_EQ(std::count(expected.begin(), expected.end(), '\n'), 25);
  EXPECT_EQ(sweep("2", {"--threads", "2"}), expected);
  EXPECT_EQ(sweep("4", {"--threads", "4"}), expected);
  EXPECT_NE(sweep("a", {"--shard", "1/2"}), expected);
  EXPECT_EQ(sweep("a", {}), expected);
  sweep("b", {"--shard", "1/2"});
  sweep("c", {"--shard", "2/2"});
  EXPECT_EQ(sweep("d", {"--merge", file("b"), file("c")}), expected);
  EXPECT_EQ(
      run({"simulate", "--sweep", file("s.toml"), "--results", file("e"), "--merge", file("b")}),
      1);
  EXPECT_EQ(run({"simulate", "--sweep", file("s.toml"), "--results", file("e"), "--rate", "2"}), 2);
  EXPECT_EQ(run({"simulate", "--sweep", file("s.toml"), "--results", file("e"), "--shard", "0/2"}),
            2);
  EXPECT_EQ(
      run({"simulate", "--sweep", file("s.toml"), "--results", file("e"), "--csv", "/dev/full"}),
      2);
  EXPECT_EQ(run({"simulate", "--results", file("e")}), 2);
  EXPECT_EQ(run({"simulate", "--sweep", file("none.toml")}), 2);
}

}  // namespace
}  // namespace tinderbox::cli

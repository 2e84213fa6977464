#include "box/trace.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tinderbox {
namespace {

const std::string kTraces = TINDERBOX_SOURCE_DIR "/data/traces/";

std::string problem(std::string_view text, const TraceOptions& options = {}) {
  try {
    read_trace(text, "t", options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Trace, ReadsAzure) {
  const Trace t = load_trace(kTraces + "azure-llm-2023-conv-200.csv");
  EXPECT_EQ(t.format, "Azure");
  EXPECT_TRUE(t.timed);
  ASSERT_EQ(t.requests.size(), 200u);
  EXPECT_EQ(t.requests[0].arrival, TimePoint{});
  EXPECT_EQ(t.requests[1].id, 2);
  EXPECT_EQ(t.requests[1].n_prompt, 396);
  EXPECT_EQ(t.requests[1].n_gen_max, 109);
  // Whole stamps are read in doubles of ns since 1970, which are 256 apart.
  EXPECT_NEAR(since_start(t.requests[1].arrival).value(), 50.995169 - 46.680590, 1e-6);
  EXPECT_NEAR(since_start(load_trace(kTraces + "azure-llm-2023-conv-200.csv", {.speed = 4}).requests[1].arrival)
                  .value(),
              4.314579 / 4, 1e-6);
}

TEST(Trace, ReadsMooncakeWithItsBlocks) {
  const Trace t = load_trace(kTraces + "mooncake-conversation-60.jsonl");
  EXPECT_EQ(t.format, "Mooncake");
  ASSERT_EQ(t.requests.size(), 60u);
  const Request& r = t.requests[1];
  EXPECT_EQ(r.n_prompt, 7322);
  ASSERT_EQ(r.contents.size(), 15u);
  EXPECT_EQ(r.contents[0], (Content{.id = 0, .n_tokens = 512}));
  EXPECT_EQ(r.contents[14], (Content{.id = 27, .n_tokens = 7322 - 14 * 512}));
}

TEST(Trace, ReadsBurstGptAndOurOwnColumns) {
  const Trace t = read_trace(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
      "5,ChatGPT,472,18,490,Conversation log\n"
      "45,ChatGPT,1087,0,1087,Conversation log\n"
      "118,GPT-4,417,276,693,API log\n",
      "t");
  EXPECT_EQ(t.format, "BurstGPT");
  ASSERT_EQ(t.requests.size(), 2u);
  EXPECT_EQ(t.n_skipped, 1);
  ASSERT_EQ(t.notes.size(), 1u);
  EXPECT_EQ(t.notes[0].find("t:3: an answer of 0 tokens"), 0u) << t.notes[0];
  EXPECT_EQ(t.requests[1].arrival, TimePoint(Duration(113'000'000'000)));
  EXPECT_EQ(read_trace("arrival_s,prompt_tokens,output_tokens,x\n0.5,3,4,y\n", "t").requests[0].n_gen_max, 4);
}

TEST(Trace, ReadsAiperf) {
  const Trace t = read_trace(
      R"({"metadata":{"request_start_ns":2000},"metrics":{"input_sequence_length":{"value":550,"unit":"tokens"},)"
      R"("output_sequence_length":{"value":9,"unit":"tokens"}},"error":null})"
      "\n"
      R"({"metadata":{"request_start_ns":2500},"metrics":{"error_isl":{"value":550}},"error":{"code":499}})"
      "\n",
      "t");
  EXPECT_EQ(t.format, "aiperf");
  ASSERT_EQ(t.requests.size(), 1u);
  EXPECT_EQ(t.requests[0].n_prompt, 550);
  EXPECT_EQ(t.n_skipped, 1);
}

TEST(Trace, ReadsShareGptAsLinesOrAsAList) {
  const std::string one = R"({"id":"a","conversations":[{"from":"human","value":"12345"},)"
                          R"({"from":"gpt","value":"abcd"}]})";
  for (const std::string& text : {one + "\n" + one + "\n", "[" + one + ",\n" + one + "]"}) {
    const Trace t = read_trace(text, "t");
    EXPECT_EQ(t.format, "ShareGPT");
    EXPECT_FALSE(t.timed);
    ASSERT_EQ(t.requests.size(), 2u);
    EXPECT_EQ(t.requests[0].n_prompt, 2);
    EXPECT_EQ(t.requests[0].n_gen_max, 1);
  }
}

TEST(Trace, ReadsVllmResults) {
  const Trace untimed = read_trace(
      R"({"request_rate": 2.5, "total_input_tokens": 30, "input_lens": [10, 20], "output_lens": [5, 0]})", "t");
  EXPECT_FALSE(untimed.timed);
  EXPECT_EQ(untimed.rate, 2.5);
  EXPECT_EQ(untimed.requests.size(), 1u);
  const Trace timed = read_trace(
      R"({"request_rate": "inf", "input_lens": [10, 20], "output_lens": [5, 6], "start_times": [7.5, 7.25]})", "t");
  EXPECT_TRUE(timed.timed);
  EXPECT_EQ(timed.requests[0].n_prompt, 20);  // sent first
  EXPECT_EQ(timed.requests[1].arrival, TimePoint(Duration(250'000'000)));
  EXPECT_NE(problem(R"({"total_input_tokens": 30})").find("--save-detailed"), std::string::npos);
}

TEST(Trace, UnorderedRowsAreSortedAndSaid) {
  const std::string text = "arrival_s,prompt_tokens,output_tokens\n3,1,1\n1,2,1\n2,3,1\n";
  const Trace t = read_trace(text, "t");
  ASSERT_EQ(t.requests.size(), 3u);
  EXPECT_EQ(t.requests[0].n_prompt, 2);
  EXPECT_EQ(t.requests[2].arrival, TimePoint(Duration(2'000'000'000)));
  EXPECT_EQ(t.n_unordered, 1);
  EXPECT_NE(problem(text, {.strict = true}).find("t:3: earlier"), std::string::npos);
}

TEST(Trace, BadRowsAreNamedAndSkippedOrRefused) {
  const std::string head = "arrival_s,prompt_tokens,output_tokens\n0,1,1\n";
  for (const char* row : {"-1,5,5", "x,5,5", "1,0,5", "1,5,-3", "1,1e12,5", "1,nan,5", "inf,5,5", "1,5,"}) {
    const Trace t = read_trace(head + row + "\n", "t");
    EXPECT_EQ(t.requests.size(), 1u) << row;
    EXPECT_EQ(t.n_skipped, 1) << row;
    EXPECT_EQ(t.notes.at(0).find("t:3: "), 0u) << row;
    const std::string strict = problem(head + row + "\n", {.strict = true});
    EXPECT_EQ(strict.find("t:3: "), 0u) << row;
    EXPECT_NE(strict.find("--strict"), std::string::npos) << row;
  }
  std::string many = head;
  for (int i = 0; i < 100; ++i) many += "1,0,0\n";
  EXPECT_LE(read_trace(many, "t").notes.size(), 10u);
}

TEST(Trace, RefusesWhatIsNoTrace) {
  EXPECT_NE(problem(""), "");
  EXPECT_NE(problem("a,b\n1,2\n").find("TIMESTAMP"), std::string::npos);
  EXPECT_NE(problem("{\"a\":1}\n").find("Mooncake"), std::string::npos);
  EXPECT_NE(problem("{\"a\":\n").find("t:1"), std::string::npos);
  EXPECT_NE(problem("[]"), "");
  EXPECT_NE(problem("arrival_s,prompt_tokens,output_tokens\n").find("none of 0 rows"), std::string::npos);
  EXPECT_NE(problem("arrival_s,prompt_tokens,output_tokens\n0,1,1\n1e12,1,1\n").find("ten years"),
            std::string::npos);
  EXPECT_NE(problem("arrival_s,prompt_tokens,output_tokens\n0,1,1\n", {.speed = 0}).find("speed"),
            std::string::npos);
  EXPECT_NE(problem("arrival_s,prompt_tokens,output_tokens\n0,1\n").find("t:2"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
